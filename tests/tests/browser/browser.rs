//! A browser of its own for each test, and what a person does with it.

use std::io::{BufRead as _, BufReader};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Database, Options, Server};
use thirtyfour::ChromiumLikeCapabilities as _;
use thirtyfour::extensions::query::ElementQueryable as _;
use thirtyfour::prelude::{By, DesiredCapabilities, WebDriver, WebElement};

/// Longest wait for something to appear.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Keeps what went wrong in a page, from its first moment on.
const WATCH: &str = "
    window.__faults = [];
    addEventListener('error', e => __faults.push('error: ' + e.message));
    addEventListener('unhandledrejection', e => __faults.push('rejection: ' + e.reason));
    addEventListener('securitypolicyviolation', e => __faults.push('policy: ' + e.violatedDirective + ' ' + e.blockedURI));
    const error = console.error;
    console.error = (...all) => { __faults.push('console: ' + all.join(' ')); error(...all); };";

/// The driver's process; it ends with this.
struct Driver {
    process: Child,
    url: String,
}

impl Driver {
    fn start() -> Self {
        let program = named("SIGNALBOX_CHROMEDRIVER", "chromedriver");
        let mut process = Command::new(&program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, rest) = line.split_once("successfully on port ")?;
                rest.trim_end_matches('.').parse::<u16>().ok()
            })
            .unwrap_or_else(|| panic!("{} names no port", program.display()));
        Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn named(variable: &str, usual: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| usual.into(), PathBuf::from)
}

/// A signed-in person in front of a browser.
pub struct Person {
    /// The server.
    pub server: Server,
    /// The page.
    pub page: WebDriver,
}

/// Runs a test with a browser; the browser ends also when the test fails.
pub async fn with_person<F>(file: tests::yaml::File, test: impl FnOnce(Person) -> F)
where
    F: Future<Output = ()>,
{
    with_person_on(Options::default(), file, test).await;
}

/// The same on a server with these settings.
pub async fn with_person_on<F>(
    options: Options,
    file: tests::yaml::File,
    test: impl FnOnce(Person) -> F,
) where
    F: Future<Output = ()>,
{
    let server = Server::start_with(Database::Sqlite, options).await;
    server.apply(&file.text()).await;
    // Sets up what every client for HTTP in this process needs.
    drop(tests::client::http());
    let driver = Driver::start();
    let profile = TempDir::new().unwrap();
    let mut wanted = DesiredCapabilities::chrome();
    wanted
        .set_binary(&named("SIGNALBOX_CHROMIUM", "chromium").to_string_lossy())
        .unwrap();
    for argument in [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--window-size=1280,900",
    ] {
        wanted.add_arg(argument).unwrap();
    }
    let folder = format!("--user-data-dir={}", profile.path().display());
    wanted.add_arg(&folder).unwrap();
    let page = WebDriver::new(&driver.url, wanted).await.unwrap();
    let person = Person {
        server,
        page: page.clone(),
    };
    person
        .devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": WATCH }),
        )
        .await;
    let ended = AssertUnwindSafe(test(person)).catch_unwind().await;
    page.quit().await.unwrap();
    if let Err(failure) = ended {
        std::panic::resume_unwind(failure);
    }
}

impl Person {
    /// A command to the browser itself.
    pub async fn devtools(&self, command: &str, parameters: Value) {
        self.page.cdp().send_raw(command, parameters).await.unwrap();
    }

    /// Opens a path.
    pub async fn open(&self, path: &str) {
        let url = format!("{}{path}", self.server.url());
        self.page.goto(url).await.unwrap();
    }

    /// Signs in with the form.
    pub async fn sign_in(&self) {
        self.open("/").await;
        let admin = self.server.credentials.admin.clone();
        self.fill("email", &admin.email).await;
        self.fill("password", &admin.password).await;
        self.click("sign-in-submit").await;
        self.see("dashboard").await;
    }

    /// Waits until something with this mark is there.
    pub async fn see(&self, mark: &str) -> WebElement {
        self.see_css(&css(mark)).await
    }

    /// The same by a selector.
    pub async fn see_css(&self, selector: &str) -> WebElement {
        let found = self
            .page
            .query(By::Css(selector))
            .wait(PATIENCE, LOOK)
            .first()
            .await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{selector} is not there: {error}\n{}", self.report().await),
        }
    }

    /// Waits until something with this mark says this.
    pub async fn see_text(&self, mark: &str, text: &str) {
        let selector = css(mark);
        self.until(&format!("{mark} says {text}"), async || {
            for element in self.page.find_all(By::Css(selector.as_str())).await.ok()? {
                // An element may be drawn anew while it is read.
                if element.text().await.is_ok_and(|t| t.contains(text)) {
                    return Some(());
                }
            }
            None
        })
        .await;
    }

    /// Clicks on it.
    pub async fn click(&self, mark: &str) {
        self.click_css(&css(mark)).await;
    }

    /// Clicks on what a selector finds, once it can be clicked.
    pub async fn click_css(&self, selector: &str) {
        self.until(&format!("{selector} can be clicked"), async || {
            let element = self.page.find(By::Css(selector)).await.ok()?;
            element.scroll_into_view().await.ok()?;
            element.click().await.ok()
        })
        .await;
    }

    /// Waits for a condition of the page, which is shown if it never comes.
    async fn until(&self, what: &str, mut probe: impl AsyncFnMut() -> Option<()>) {
        let begun = Instant::now();
        while probe().await.is_none() {
            if begun.elapsed() > PATIENCE {
                panic!("in vain: {what}\n{}", self.report().await);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes into it instead of what is there.
    pub async fn fill(&self, mark: &str, text: &str) {
        let element = self.see(mark).await;
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Chooses from a list.
    pub async fn choose(&self, mark: &str, value: &str) {
        self.click_css(&format!("{} option[value=\"{value}\"]", css(mark)))
            .await;
    }

    /// Runs a script in the page.
    pub async fn script(&self, script: &str) -> Value {
        self.page
            .execute(script, Vec::new())
            .await
            .unwrap()
            .json()
            .clone()
    }

    /// Expects that the page had no fault so far.
    pub async fn no_faults(&self) {
        let faults = self.script("return window.__faults;").await;
        assert_eq!(faults, json!([]), "{}", self.report().await);
    }

    /// Where the person is and what there is to read.
    async fn report(&self) -> String {
        let url = self.page.current_url().await.map(String::from);
        let text = self
            .script("return document.body.innerText + '\\n' + (window.__faults || []).join('\\n');")
            .await;
        format!(
            "{}\n{}",
            url.unwrap_or_default(),
            text.as_str().unwrap_or_default()
        )
    }
}

fn css(mark: &str) -> String {
    format!("[data-testid=\"{mark}\"]")
}
