//! An S3-compatible store of a test's own, that checks signatures (`object_store.py`).

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use super::python;
use crate::client::http;
use crate::cluster::{free_port, listening};

const PROGRAM: &str = include_str!("object_store.py");

/// A running store with one bucket, which is not there at first. It ends when this is dropped.
#[derive(Debug)]
pub struct ObjectStore {
    /// Its address.
    pub url: String,
    /// The name of the bucket.
    pub bucket: &'static str,
    /// Id of the one key that there is.
    pub key: String,
    /// What is signed with; it has the word `planted`.
    pub secret: String,
    process: Child,
}

impl ObjectStore {
    /// A new one.
    ///
    /// # Panics
    /// It does not start, or `SIGNALBOX_TEST_PYTHON` names no Python.
    pub async fn start() -> Self {
        let port = free_port();
        let random = |begins: &str| format!("{begins}{:016x}", rand::random::<u64>());
        let (key, secret) = (random("key-"), random("planted-secret-"));
        let process = Command::new(python())
            .args(["-c", PROGRAM, &port.to_string(), &key, &secret])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let store = Self {
            url: format!("http://127.0.0.1:{port}"),
            bucket: "archive",
            key,
            secret,
            process,
        };
        listening("the object store", port).await;
        store
    }

    /// Makes the bucket.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn make(&self) {
        look(http().put(self.at(""))).await;
    }

    /// Names and tags of all objects.
    ///
    /// # Panics
    /// The store does not answer.
    pub async fn objects(&self) -> BTreeMap<String, String> {
        let text = look(http().get(self.at("?list-type=2"))).await;
        let text = String::from_utf8(text).unwrap();
        text.split("<Contents>")
            .skip(1)
            .map(|one| (within(one, "Key"), within(one, "ETag")))
            .collect()
    }

    /// An object.
    ///
    /// # Panics
    /// It is not there.
    pub async fn get(&self, name: &str) -> Vec<u8> {
        look(http().get(self.at(&format!("/{name}")))).await
    }

    fn at(&self, rest: &str) -> String {
        format!("{}/{}{rest}", self.url, self.bucket)
    }
}

/// A call of the test's own, which has no signature.
async fn look(call: reqwest::RequestBuilder) -> Vec<u8> {
    let call = call.header("x-test", "yes");
    // Whoever says who it is may read.
    let call = call.header(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request",
    );
    let answer = call.send().await.unwrap().error_for_status().unwrap();
    answer.bytes().await.unwrap().to_vec()
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn within(text: &str, tag: &str) -> String {
    let (_, rest) = text.split_once(&format!("<{tag}>")).unwrap();
    rest.split_once(&format!("</{tag}>")).unwrap().0.to_owned()
}
