//! The guide to signed calls: every example in it is run as it stands there.

use std::path::PathBuf;
use std::process::{Command, Output};

use openapi::credentials::{Credential, CredentialKind, SecretSlot};
use openapi::rules::Rule;
use tests::server::{both as shown, run};
use tests::{Server, both};

use crate::support::all;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The blocks of the guide that are marked to be run by this, in their order, as one text.
fn examples(of: &str) -> String {
    let text = std::fs::read_to_string(root().join("docs/signing.md")).unwrap();
    let mark = format!("<!-- run: {of} -->\n```");
    let blocks: Vec<&str> = text
        .split(&mark)
        .skip(1)
        .map(|rest| rest.split_once('\n').unwrap().1)
        .map(|rest| rest.split_once("\n```").unwrap().0)
        .collect();
    assert!(blocks.len() >= 3, "{of}: {} examples", blocks.len());
    blocks.join("\n") + "\n"
}

/// Runs a text with the program that understands it.
async fn run_as(server: &Server, program: &str, name: &str, text: &str) -> Output {
    let signer = server.signer();
    let mut command = Command::new(program);
    command
        .arg(server.write(name, text))
        .current_dir(root())
        .env("SIGNALBOX_URL", server.url())
        .env("SIGNALBOX_CLIENT_ID", signer.client_id)
        .env("SIGNALBOX_SECRET", signer.secret)
        .env("PYTHONUTF8", "1");
    run(command).await
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", shown(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn rule_named(server: &Server, name: &str) -> Rule {
    let rules: Vec<Rule> = all(&server.client(), "/api/v1/rules").await;
    let found = rules.into_iter().find(|rule| rule.name == name);
    found.unwrap_or_else(|| panic!("no rule is called {name}"))
}

both! {
    async fn the_examples_in_python_work(db) {
        let server = Server::start(db).await;
        let said = printed(&run_as(&server, "python3", "guide.py", &examples("python")).await);
        assert_eq!(said, format!("{}\n0\n", server.signer().client_id));
        assert!(!rule_named(&server, "made in Python ✓").await.enabled);
    }

    async fn the_examples_in_javascript_work(db) {
        let server = Server::start(db).await;
        let said = printed(&run_as(&server, "node", "guide.mjs", &examples("javascript")).await);
        assert_eq!(said, format!("{}\n0\n", server.signer().client_id));
        assert!(!rule_named(&server, "made in JavaScript ✓").await.enabled);
    }

    async fn the_examples_in_the_shell_work(db) {
        let server = Server::start(db).await;
        let text = format!("set -eu\n{}", examples("shell"));
        let said = printed(&run_as(&server, "dash", "guide.sh", &text).await);
        assert!(said.contains("sbs_"), "{said}");
        rule_named(&server, "it's 100% \"quoted\"").await;
        rule_named(&server, "from standard input").await;
        let rows: Vec<Credential> = all(&server.client(), "/api/v1/credentials").await;
        let made = rows.iter().find(|row| row.name == "Deployment").unwrap();
        assert_eq!((made.kind, made.secrets.len()), (CredentialKind::Hmac, 1));
        assert_eq!(made.secrets[0].slot, SecretSlot::Primary);
    }
}
