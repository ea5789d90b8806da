//! What others make of the OpenAPI document: clients by public generators, and a tester that sends
//! whatever the document allows, and more.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::server::{both as shown, run};
use tests::{Database, Server, both};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn variable(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    PathBuf::from(value.unwrap_or_else(|| panic!("{name} is set by scripts/with-services")))
}

/// A program of the Python environment of the tests.
fn python(program: &str) -> Command {
    let python = variable("SIGNALBOX_TEST_PYTHON");
    let programs = python.parent().unwrap();
    let mut command = Command::new(programs.join(program));
    // Generators call each other.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
    command
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("PYTHONUTF8", "1");
    command
}

fn with_server(command: &mut Command, server: &Server) {
    let own = &server.credentials;
    command
        .env("SIGNALBOX_URL", server.url())
        .env("EMAIL", &own.admin.email)
        .env("PASSWORD", &own.admin.password)
        .env("TOKEN", &own.bearer.token);
}

async fn done(command: Command) -> String {
    let output: Output = run(command).await;
    assert!(output.status.success(), "{}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The document as the server gives it away.
async fn document(server: &Server) -> PathBuf {
    let text = server.anonymous().get("/api/openapi.json").await.text();
    server.write("openapi.json", &text)
}

both! {
    async fn a_generated_python_client_works(db) {
        let server = Server::start(db).await;
        let folder = server.data().join("clients");
        let mut generate = python("openapi-python-client");
        generate.arg("generate").arg("--path").arg(document(&server).await)
            .arg("--output-path").arg(folder.join("signalbox_client"))
            .args(["--meta", "none", "--overwrite"]);
        std::fs::create_dir_all(&folder).unwrap();
        let said = done(generate).await;
        assert!(!said.contains("Unable to p"), "the generator left something out: {said}");
        let mut client = python("python");
        client.arg(root().join("tests/clients/client.py")).arg(&folder);
        with_server(&mut client, &server);
        assert_eq!(done(client).await, "from a generated client\n");
    }

    async fn a_generated_typescript_client_works(db) {
        let server = Server::start(db).await;
        let modules = variable("SIGNALBOX_TEST_TYPESCRIPT");
        let folder = server.data().join("clients");
        std::fs::create_dir_all(&folder).unwrap();
        link(&modules, &folder.join("node_modules"));
        std::fs::copy(root().join("tests/clients/client.ts"), folder.join("client.ts")).unwrap();
        std::fs::write(folder.join("package.json"), r#"{"private": true, "type": "module"}"#).unwrap();
        std::fs::write(folder.join("tsconfig.json"), TSCONFIG).unwrap();
        let node = |script: &str| {
            let mut command = Command::new("node");
            command.arg(modules.join(script)).current_dir(&folder);
            command
        };
        let mut generate = node("openapi-typescript/bin/cli.js");
        generate.arg(document(&server).await).args(["-o", "api.d.ts"]);
        done(generate).await;
        let mut compile = node("typescript/bin/tsc");
        compile.args(["-p", "."]);
        done(compile).await;
        let mut client = Command::new("node");
        client.arg("client.js").current_dir(&folder);
        with_server(&mut client, &server);
        assert_eq!(done(client).await, "from a typed client\n");
    }
}

/// As strict as the compiler can be.
const TSCONFIG: &str = r#"{ "compilerOptions": {
    "target": "es2022", "module": "nodenext", "strict": true, "noUncheckedIndexedAccess": true,
    "skipLibCheck": true, "types": [], "lib": ["es2022", "dom"]
}, "files": ["client.ts"] }"#;

fn link(from: &Path, to: &Path) {
    std::os::unix::fs::symlink(from, to).unwrap();
}

/// Operations that never end, or that end what the tester signs in with.
const LEFT_OUT: &str = "/stream|/auth/|/workspaces/\\{id\\}$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_sent_finds_a_fault_or_an_answer_that_is_not_in_the_document() {
    let server = Server::start(Database::Sqlite).await;
    let long = std::env::var("SIGNALBOX_TEST_LONG").as_deref() == Ok("1");
    let (phases, examples) = if long {
        ("examples,coverage,fuzzing", "100")
    } else {
        ("examples,fuzzing", "4")
    };
    let mut tester = python("st");
    tester
        .arg("run")
        .arg(document(&server).await)
        .args(["--url", &server.url()])
        .arg("-H")
        .arg(format!(
            "Authorization: Bearer {}",
            server.credentials.bearer.token
        ))
        .args([
            "--phases",
            phases,
            "--max-examples",
            examples,
            "--seed",
            "1",
        ])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,\
             response_schema_conformance",
        ])
        .args(["--exclude-path-regex", LEFT_OUT])
        .args(["--suppress-health-check", "all"])
        .current_dir(server.data());
    let said = done(tester).await;
    let summary = said.split("Test cases:").nth(1).unwrap_or_default();
    let count = summary.split_whitespace().next().unwrap_or_default();
    assert!(count.parse::<u32>().is_ok_and(|n| n > 200), "{said}");
}
