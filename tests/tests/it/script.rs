//! `scripts/api-curl.sh`, in the shell of a plain Debian.

use std::path::PathBuf;
use std::process::{Command, Output};

use openapi::sources::Accepted;
use serde_json::json;
use tests::server::{both, run};
use tests::yaml::File;
use tests::{Database, Server};

async fn script(server: &Server, token: Option<&str>, arguments: &[&str]) -> Output {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../scripts/api-curl.sh"
    ));
    let mut command = Command::new("dash");
    command
        .arg(path)
        .args(arguments)
        .env("SIGNALBOX_URL", server.url());
    match token {
        Some(token) => command.env("SIGNALBOX_TOKEN", token),
        None => command.env_remove("SIGNALBOX_TOKEN"),
    };
    run(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_sends_every_body_as_it_is() {
    let server = Server::start(Database::Sqlite).await;
    server.apply(&File::new().source("a").text()).await;
    let token = server.credentials.bearer.token.clone();
    let odd = [
        json!({ "q": "it's \"quoted\" $HOME `id` \\n %s" }),
        json!({ "lines": "one\ntwo\r\n\ttabbed  ", "tail": "\\" }),
        json!({ "wide": "héllo ✓ 🔴", "empty": "", "star": "* ? [a] {b} ~ ! #" }),
        json!({ "at": "@not-a-file", "amp": "a&b=c;d|e<f>", "null": null }),
    ];
    for body in odd {
        let text = body.to_string();
        let sent = script(
            &server,
            Some(&token),
            &["POST", "/hooks/a", "--json", &text],
        )
        .await;
        assert!(sent.status.success(), "{}", both(&sent));
        let accepted: Accepted = serde_json::from_slice(&sent.stdout).unwrap();
        let path = format!("/api/v1/events/{}/body", accepted.event_ids[0]);
        let read = script(&server, Some(&token), &["GET", &path]).await;
        assert_eq!(String::from_utf8(read.stdout).unwrap(), text);
    }
    let bytes: Vec<u8> = [b"{\"a\":\"", [b'x'; 70_000].as_slice(), b"\"}"].concat();
    let file = server.data().join("large body.json");
    std::fs::write(&file, &bytes).unwrap();
    let sent = script(
        &server,
        Some(&token),
        &[
            "POST",
            "/hooks/a",
            "--json",
            &format!("@{}", file.display()),
        ],
    )
    .await;
    let accepted: Accepted = serde_json::from_slice(&sent.stdout).unwrap();
    let path = format!("/api/v1/events/{}/body", accepted.event_ids[0]);
    assert_eq!(
        script(&server, Some(&token), &["GET", &path]).await.stdout,
        bytes
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_exit_code_tells_what_happened() {
    let server = Server::start(Database::Sqlite).await;
    let token = server.credentials.bearer.token.clone();
    let code =
        async |token: Option<&str>, arguments: &[&str]| script(&server, token, arguments).await;
    let right = code(Some(&token), &["GET", "/api/v1/events?limit=1"]).await;
    assert_eq!(right.status.code(), Some(0), "{}", both(&right));
    let missing = code(
        Some(&token),
        &["GET", "/api/v1/events/00000000-0000-0000-0000-000000000000"],
    )
    .await;
    assert_eq!(missing.status.code(), Some(22));
    assert!(
        String::from_utf8_lossy(&missing.stdout).contains("not_found"),
        "{}",
        both(&missing)
    );
    let unknown = code(None, &["GET", "/api/v1/events"]).await;
    assert_eq!(unknown.status.code(), Some(22));
    assert_eq!(
        code(Some(&token), &["BREW", "/"]).await.status.code(),
        Some(2)
    );
    assert_eq!(
        code(Some("a\nb: c"), &["GET", "/"]).await.status.code(),
        Some(2)
    );
    let all = format!("{}{}", both(&right), both(&missing));
    assert!(!all.contains(&token), "the token is never printed");
    server.kill();
    assert_eq!(
        code(Some(&token), &["GET", "/livez"]).await.status.code(),
        Some(7)
    );
}

/// The script with other variables than a token; `input` is a file for its standard input.
async fn script_as(
    server: &Server,
    shell: &str,
    env: &[(&str, &str)],
    input: Option<&PathBuf>,
    arguments: &[&str],
) -> Output {
    let mut command = Command::new("sh");
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../scripts/api-curl.sh"
    ));
    let nothing = PathBuf::from("/dev/null");
    command
        .args(["-c", "input=$1; shift; exec \"$@\" <\"$input\"", "sh"])
        .arg(input.unwrap_or(&nothing))
        .arg(shell)
        .arg(path)
        .args(arguments)
        .env_remove("SIGNALBOX_TOKEN")
        .env("SIGNALBOX_URL", server.url())
        .envs(env.iter().copied());
    run(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_signs_what_it_sends() {
    let server = Server::start(Database::Sqlite).await;
    let signer = server.signer();
    let file = server.write("secret", &format!("{}\n", signer.secret));
    let by_value = [
        ("SIGNALBOX_CLIENT_ID", signer.client_id.as_str()),
        ("SIGNALBOX_SECRET", signer.secret.as_str()),
    ];
    let by_file = [
        by_value[0],
        ("SIGNALBOX_SECRET_FILE", file.to_str().unwrap()),
    ];
    let odd = "it's \"q\" 100% $HOME `id` \\n {}";
    let mut names = Vec::new();
    for (shell, env) in [("dash", by_value), ("dash", by_file), ("bash", by_file)] {
        let me = script_as(&server, shell, &env, None, &["GET", "/api/v1/debug/whoami"]).await;
        assert!(
            String::from_utf8_lossy(&me.stdout).contains("\"kind\":\"hmac\""),
            "{}",
            both(&me)
        );
        let path = "/api/v1/events?limit=5&q=%2Fa%20b+c%C3%A9%25[]{}*'";
        let listed = script_as(&server, shell, &env, None, &["GET", path]).await;
        assert!(listed.status.success(), "{}", both(&listed));
        for (option, place) in [
            ("-d", "argument"),
            ("--json", "argument"),
            ("--data-raw", "argument"),
            ("-d", "file"),
            ("-d", "input"),
        ] {
            let name = format!("{odd} {}", names.len());
            let rule = json!({ "name": name, "spec": { "when": [], "then": "drop" } });
            let body = format!("{rule:#}\n\n");
            let stored = server.write("a body.json", &body);
            let (input, value) = match place {
                "file" => (None, format!("@{}", stored.display())),
                "input" => (Some(&stored), "@-".to_owned()),
                _ => (None, body),
            };
            let sent = ["POST", "/api/v1/rules", option, &value, "--include"];
            let made = script_as(&server, shell, &env, input, &sent).await;
            assert!(made.status.success(), "{shell} {option}: {}", both(&made));
            names.push(name);
        }
        // Bytes that are no text arrive as they are: what is wrong with them is no signature.
        let bytes: Vec<u8> = (0..=255).chain(0..=255).collect();
        let binary = server.data().join("binary");
        std::fs::write(&binary, &bytes).unwrap();
        let sent = script_as(
            &server,
            shell,
            &env,
            None,
            &[
                "POST",
                "/api/v1/rules",
                "-d",
                &format!("@{}", binary.display()),
            ],
        )
        .await;
        assert_eq!(sent.status.code(), Some(22));
        assert!(
            String::from_utf8_lossy(&sent.stdout).contains("malformed_body"),
            "{}",
            both(&sent)
        );
        assert!(!both(&sent).contains(&signer.secret));
    }
    let rules: openapi::page::Page<openapi::rules::Rule> =
        server.client().read("/api/v1/rules").await;
    let mut made: Vec<&str> = rules.items.iter().map(|rule| rule.name.as_str()).collect();
    made.sort_unstable();
    names.sort_unstable();
    assert_eq!(made, names);
    // Nothing of it is left lying about.
    let aside = server.data().join("tmp");
    std::fs::create_dir(&aside).unwrap();
    let env = [
        by_value[0],
        by_value[1],
        ("TMPDIR", aside.to_str().unwrap()),
    ];
    script_as(&server, "dash", &env, None, &["GET", "/livez"]).await;
    assert_eq!(std::fs::read_dir(&aside).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_what_it_would_sign() {
    let server = Server::start(Database::Sqlite).await;
    let env = [
        ("SIGNALBOX_CLIENT_ID", "sb_client_1"),
        ("SIGNALBOX_SECRET", "test-secret-0123456789abcdef"),
        ("SIGNALBOX_TIMESTAMP", "1767225600"),
        ("SIGNALBOX_NONCE", "nonce-000000000001"),
    ];
    let call = [
        "--dry-run",
        "POST",
        "/api/v1/rules?dry_run=true&x=%2F",
        "-d",
        r#"{"priority":10,"action":"DROP"}"#,
    ];
    for shell in ["dash", "bash"] {
        let said = script_as(&server, shell, &env, None, &call).await;
        assert_eq!(said.status.code(), Some(0), "{}", both(&said));
        assert_eq!(
            String::from_utf8_lossy(&said.stdout),
            "SB1-HMAC-SHA256\nsb_client_1\nPOST\n/api/v1/rules\ndry_run=true&x=%2F\n1767225600\n\
             nonce-000000000001\n\
             aca5a3a97b0be893db1a75c098be98e3521be51024a8445b117491e71bfa26b6"
        );
        let vector =
            "X-Signature: v1=bb2601dfa6369400eae9660ed868260af3c9e7fe1fcf4bc845ba3d3bd18081a2";
        assert!(
            String::from_utf8_lossy(&said.stderr).contains(vector),
            "{}",
            both(&said)
        );
        assert!(!both(&said).contains("test-secret"));
        // A key longer than a block of the hash is hashed first.
        let long = "k".repeat(100);
        let env = [env[0], ("SIGNALBOX_SECRET", long.as_str()), env[2], env[3]];
        let said = script_as(&server, shell, &env, None, &call).await;
        let code = hex::encode(tests::signing::sha256(long.as_bytes(), &[&said.stdout]));
        assert!(
            String::from_utf8_lossy(&said.stderr).contains(&code),
            "{}",
            both(&said)
        );
    }
    for wrong in [
        &["GET", "/api/v1/a b"][..],
        &["GET", "/api/v1/é"],
        &["GET", "/api/v1/#top"],
        &["POST", "/api/v1/rules", "--data-urlencode", "a=b"],
        &["POST", "/api/v1/rules", "-F", "a=b"],
        &["POST", "/api/v1/rules", "-d"],
        &["POST", "/api/v1/rules", "-d", "@/no/such/file"],
    ] {
        let said = script_as(&server, "dash", &env, None, wrong).await;
        assert_eq!(said.status.code(), Some(2), "{wrong:?} {}", both(&said));
    }
    let said = script_as(&server, "dash", &env[..1], None, &["GET", "/"]).await;
    assert_eq!(said.status.code(), Some(2), "{}", both(&said));
}
