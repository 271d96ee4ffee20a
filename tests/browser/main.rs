//! The web UI in a real browser, on the real binary: from the first account to signing out and in again. Its module
//! `docs` does the same to the pages of the documentation.
//!
//! Along the way nothing may be logged as an error, no policy (CSP, Trusted Types) may be violated, and no
//! request may leave the server's origin. Where no Chromium is installed the test says so and passes, unless
//! `FIRESIDE_TEST_BROWSER=required`. `FIRESIDE_SCREENSHOTS=DIR` keeps a picture of each state.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says why it was skipped"
)]

#[cfg(test)]
mod docs;

use headless_chrome::browser::tab::point::Point;
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::protocol::cdp::{Emulation, Log, Network, Page as PageDomain, Runtime};
use headless_chrome::{Browser, LaunchOptions, Tab};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take to appear. Far more than it does: argon2 in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);
const DESKTOP: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (390, 844);
const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "a quiet evening by the fire";

#[test]
fn from_the_first_account_to_signing_in_again() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));

    sign_up(&page);
    converse(&page);
    rename(&page);
    delete_and_undo(&page);
    sign_out_and_in(&page);
    on_a_phone(&page);
    in_the_dark(&page);

    page.assert_quiet(&server.origin, "/app.js");
}

/// A server and a browser; none where there is no Chromium.
fn start() -> Option<(Server, Browser)> {
    let Some(chromium) = find_chromium() else {
        let required = std::env::var_os("FIRESIDE_TEST_BROWSER").is_some_and(|value| value == "required");
        assert!(
            !required,
            "FIRESIDE_TEST_BROWSER=required, but there is no Chromium in CHROME or PATH"
        );
        eprintln!("skipped: no Chromium in CHROME or PATH");
        return None;
    };
    let server = Server::start();
    let browser = launch(&chromium, &server.dir.join("browser"));
    Some((server, browser))
}

/// The mark is drawn as a file, as the page's icon and in the page; drawings of it that differ would be a mistake.
#[test]
fn the_mark_is_the_same_everywhere() {
    let file = include_str!("../../assets/icon.svg");
    let path = file
        .split(" d=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("one path");
    assert_eq!(include_str!("../../assets/index.html").matches(path).count(), 2);
}

fn sign_up(page: &Page) {
    page.wait("the sign-up form", "document.querySelector('.sign-in form') !== null");
    page.assert_fits();
    page.shot("sign-up-light");
    page.click("button[type=submit]");
    page.wait(
        "a complaint under each empty field",
        "document.querySelectorAll('[aria-invalid=true]').length === 2",
    );
    page.fill("#email", EMAIL);
    page.fill("#password", PASSWORD);
    page.press("Enter");
    page.wait("the empty conversation", "document.querySelector('.welcome') !== null");
    page.wait("the loaded list", "document.querySelector('.list-note') !== null");
    page.shot("welcome-light");
}

fn converse(page: &Page) {
    page.fill("#message", "What does the kettle sing?");
    page.press("Enter");
    page.wait_for_texts(&["What does the kettle sing?", "Echo: What does the kettle sing?"]);
    page.wait("an address of its own", "location.pathname.startsWith('/ui/c/')");
    page.fill("#message", "Text, <b>not markup</b>");
    page.press("Enter");
    let all = [
        "What does the kettle sing?",
        "Echo: What does the kettle sing?",
        "Text, <b>not markup</b>",
        "Echo: Text, <b>not markup</b>",
    ];
    page.wait_for_texts(&all);
    page.wait(
        "the row of the conversation",
        "document.querySelectorAll('.row').length === 1",
    );
    page.assert_fits();
    page.shot("conversation-light");

    page.fill("#message", "Not sent yet");
    page.reload();
    page.wait_for_texts(&all);
    page.wait(
        "the draft",
        "document.querySelector('#message').value === 'Not sent yet'",
    );
    page.fill("#message", "");
}

fn rename(page: &Page) {
    page.click(".row-more");
    page.wait("the menu", "document.querySelector('.menu:popover-open') !== null");
    page.shot("menu-light");
    page.click(".menu-item:first-child");
    page.wait("the field for the name", "document.activeElement.matches('.rename')");
    page.fill(".rename", "Kettles");
    page.press("Enter");
    page.wait(
        "the new name",
        "document.querySelector('.row-title')?.textContent === 'Kettles'",
    );
    page.wait("the new title", "document.title.startsWith('Kettles')");
    page.reload();
    page.wait(
        "the new name after a reload",
        "document.querySelector('.row-title')?.textContent === 'Kettles'",
    );
}

fn delete_and_undo(page: &Page) {
    let address = page.eval("location.pathname");
    page.click(".row-more");
    page.click(".menu-item.danger");
    page.wait("an empty list", "document.querySelectorAll('.row').length === 0");
    page.wait("the empty conversation", "document.querySelector('.welcome') !== null");
    page.shot("deleted-light");
    page.click(".toast .link");
    page.wait(
        "the conversation again",
        "document.querySelector('.row-title')?.textContent === 'Kettles'",
    );
    page.wait("its messages", "document.querySelectorAll('.message').length === 4");
    assert_eq!(page.eval("location.pathname"), address);
}

fn sign_out_and_in(page: &Page) {
    page.click(".account");
    page.click(".menu-item:last-child");
    page.wait(
        "the sign-in form",
        "document.querySelector('#password[autocomplete=current-password]') !== null",
    );
    assert_eq!(page.eval("localStorage.length"), 0, "signing out leaves nothing behind");
    page.shot("sign-in-light");
    page.fill("#email", EMAIL);
    page.fill("#password", PASSWORD);
    page.press("Enter");
    page.wait(
        "the conversation after signing in",
        "document.querySelector('.row-title')?.textContent === 'Kettles'",
    );
    page.click(".row a");
    page.wait("its messages", "document.querySelectorAll('.message').length === 4");
}

fn on_a_phone(page: &Page) {
    page.resize(PHONE);
    page.wait(
        "the button of the drawer",
        "document.querySelector('.sidebar-open')?.offsetWidth > 0",
    );
    page.assert_fits();
    page.shot("phone-light");
    page.click(".sidebar-open");
    page.wait(
        "the drawer",
        "document.querySelector('.frame').hasAttribute('data-sidebar-open')",
    );
    page.assert_fits();
    page.shot("phone-drawer-light");
    page.press("Escape");
    page.wait(
        "no drawer",
        "!document.querySelector('.frame').hasAttribute('data-sidebar-open')",
    );
}

fn in_the_dark(page: &Page) {
    let brightness =
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((sum, n) => sum + +n, 0)";
    page.wait("a light ground", &format!("{brightness} > 600"));
    page.prefer("dark");
    page.wait("a dark ground", &format!("{brightness} < 150"));
    page.shot("phone-dark");
    page.resize(DESKTOP);
    page.wait(
        "the sidebar",
        "document.querySelector('.frame').hasAttribute('data-sidebar-open')",
    );
    page.shot("conversation-dark");
}

/// The server on a port and a directory of its own, gone when dropped.
struct Server {
    child: Child,
    dir: PathBuf,
    /// Scheme, host and port, without a slash at the end.
    origin: String,
}

impl Server {
    fn start() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "browser-{}-{}",
            std::process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed)
        );
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(dir.join("data")).expect("a directory for the test");
        let mut child = Command::new(env!("CARGO_BIN_EXE_fireside"))
            .args(["serve", "--port", "0", "--data"])
            .arg(dir.join("data"))
            // The developer's own settings would change the server, and their keys make a real model answer.
            .env_clear()
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.take().expect("a pipe");
        // From here on a panic stops the server too.
        let mut server = Self {
            child,
            dir,
            origin: String::new(),
        };
        let (sender, addresses) = mpsc::channel();
        // Reads to the end, so that the server never writes into a closed or a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(at) = line.find("http://") {
                    let address = line[at..].split_whitespace().next().unwrap_or_default();
                    drop(sender.send(address.to_owned()));
                }
            }
        });
        let address = addresses.recv_timeout(PATIENCE).expect("the server prints its address");
        let rest = &address["http://".len()..];
        server.origin = format!("http://{}", rest.split('/').next().unwrap_or_default());
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// One tab, and what the browser said about it.
struct Page {
    tab: Arc<Tab>,
    complaints: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Page {
    fn open(browser: &Browser, url: &str) -> Self {
        let tab = browser.new_tab().expect("a tab");
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (said, asked) = (Arc::clone(&complaints), Arc::clone(&requests));
        let listener = move |event: &Event| {
            if let Event::NetworkRequestWillBeSent(sent) = event {
                asked.lock().unwrap().push(sent.params.request.url.clone());
            }
            said.lock().unwrap().extend(complaint(event));
        };
        drop(tab.add_event_listener(Arc::new(listener)).expect("a listener"));
        tab.enable_runtime().expect("the runtime's events");
        tab.enable_log().expect("the log's events");
        tab.call_method(Network::Enable {
            max_total_buffer_size: None,
            max_resource_buffer_size: None,
            max_post_data_size: None,
            report_direct_socket_traffic: None,
            enable_durable_messages: None,
        })
        .expect("the network's events");
        let page = Self {
            tab,
            complaints,
            requests,
        };
        page.prefer("light");
        page.resize(DESKTOP);
        // As a browser asks for it: the root answers people with the page.
        page.tab.navigate_to(url).expect("the page");
        page
    }

    fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Nothing was complained about, and nothing was asked of anybody but the server, whose `file` was.
    fn assert_quiet(&self, origin: &str, file: &str) {
        assert_eq!(self.complaints(), Vec::<String>::new(), "the browser complained");
        let requests = self.requests();
        assert!(
            requests.iter().any(|url| url.ends_with(file)),
            "requests are not seen: {requests:?}"
        );
        let own = |url: &String| url.starts_with(&format!("{origin}/")) || url.starts_with("data:");
        let foreign: Vec<_> = requests.iter().filter(|url| !own(url)).collect();
        assert!(foreign.is_empty(), "requests left the origin: {foreign:?}");
    }

    /// The value of a JavaScript expression; null while the page is on its way to another.
    fn eval(&self, expression: &str) -> Value {
        // The crate does not return objects by value; text it does.
        let text = self
            .tab
            .evaluate(&format!("JSON.stringify({expression})"), false)
            .ok()
            .and_then(|object| object.value);
        text.and_then(|text| serde_json::from_str(text.as_str()?).ok())
            .unwrap_or_default()
    }

    /// Waits until `condition`, a JavaScript expression, is true.
    fn wait(&self, what: &str, condition: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(condition) != Value::Bool(true) {
            assert!(
                Instant::now() < deadline,
                "{what} did not appear; the page shows {}, the browser said {:?}",
                self.eval("document.body.innerText"),
                self.complaints(),
            );
            thread::sleep(POLL_EVERY);
        }
    }

    /// Waits until the messages are exactly these.
    fn wait_for_texts(&self, texts: &[&str]) {
        let shown = "[...document.querySelectorAll('.message .text')].map((node) => node.textContent)";
        let wanted = serde_json::to_string(texts).unwrap();
        let same = format!("JSON.stringify({shown}) === JSON.stringify({wanted})");
        self.wait(&format!("messages {wanted}"), &same);
    }

    /// Presses the middle of an element, by mouse.
    fn click(&self, selector: &str) {
        let element = format!("document.querySelector({selector:?})");
        self.wait(selector, &format!("{element}?.getBoundingClientRect().width > 0"));
        // The crate's own click asks the browser six things more, at a tenth of a second each.
        let middle = self.eval(&format!(
            "(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])({element}.getBoundingClientRect())"
        ));
        let at = |i: usize| middle[i].as_f64().expect(selector);
        self.tab.click_point(Point { x: at(0), y: at(1) }).expect(selector);
    }

    /// Replaces what is in a field.
    fn fill(&self, selector: &str, text: &str) {
        let field = format!("document.querySelector({selector:?})");
        self.wait(selector, &format!("{field} !== null"));
        self.eval(&format!("({field}.focus(), {field}.select())"));
        if text.is_empty() {
            self.press("Backspace");
        } else {
            // In one go, as an input method does, for the same reason.
            self.tab.send_character(text).expect(selector);
        }
    }

    fn press(&self, key: &str) {
        self.tab.press_key(key).expect(key);
    }

    fn reload(&self) {
        // The mark tells the old page from the new one, whose elements are the same.
        self.eval("window.isOld = true");
        self.tab
            .call_method(PageDomain::Reload {
                ignore_cache: None,
                script_to_evaluate_on_load: None,
                loader_id: None,
            })
            .expect("a reload");
        self.wait(
            "the reloaded page",
            "window.isOld === undefined && document.querySelector('.frame, .sign-in') !== null",
        );
    }

    fn resize(&self, (width, height): (u32, u32)) {
        self.tab
            .call_method(Emulation::SetDeviceMetricsOverride {
                width,
                height,
                device_scale_factor: 1.0,
                mobile: false,
                scale: None,
                screen_width: None,
                screen_height: None,
                position_x: None,
                position_y: None,
                dont_set_visible_size: None,
                screen_orientation: None,
                viewport: None,
                display_feature: None,
                device_posture: None,
            })
            .expect("another size");
    }

    /// Sets the colour scheme, and no motion: what is clicked stands still.
    fn prefer(&self, scheme: &str) {
        let feature = |name: &str, value: &str| Emulation::MediaFeature {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let features = vec![
            feature("prefers-color-scheme", scheme),
            feature("prefers-reduced-motion", "reduce"),
        ];
        self.tab
            .call_method(Emulation::SetEmulatedMedia {
                media: None,
                features: Some(features),
            })
            .expect("media features");
    }

    /// Only parts of the page scroll, never the page.
    fn assert_fits(&self) {
        let sizes =
            "[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]";
        assert_eq!(
            self.eval(sizes),
            serde_json::json!([0, 0]),
            "the page is larger than the window"
        );
    }

    /// Keeps a picture, if asked to by `FIRESIDE_SCREENSHOTS`.
    fn shot(&self, name: &str) {
        let Some(dir) = std::env::var_os("FIRESIDE_SCREENSHOTS").map(PathBuf::from) else {
            return;
        };
        let png = self
            .tab
            .capture_screenshot(PageDomain::CaptureScreenshotFormatOption::Png, None, None, true)
            .expect("a picture");
        fs::create_dir_all(&dir).expect("the directory for pictures");
        fs::write(dir.join(format!("{name}.png")), png).expect("the picture is kept");
    }
}

/// What in an event should not have happened.
fn complaint(event: &Event) -> Option<String> {
    match event {
        Event::RuntimeExceptionThrown(thrown) => {
            let details = &thrown.params.exception_details;
            Some(format!(
                "{} {:?}",
                details.text,
                details.exception.as_ref().and_then(|it| it.description.as_ref())
            ))
        }
        Event::RuntimeConsoleAPICalled(called) => {
            let bad = called.params.Type == Runtime::ConsoleAPICalledEventTypeOption::Error;
            bad.then(|| format!("console: {:?}", called.params.args))
        }
        Event::LogEntryAdded(added) => {
            let entry = &added.params.entry;
            (entry.level == Log::LogEntryLevel::Error).then(|| format!("{} {:?}", entry.text, entry.url))
        }
        _ => None,
    }
}

/// The browser, ended by its own guard when dropped. The profile is thrown away with the server's directory.
fn launch(chromium: &Path, profile: &Path) -> Browser {
    fs::create_dir_all(profile).expect("a directory for the profile");
    // A headless browser has no mouse and would show what is meant for touch screens.
    let mouse =
        "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4";
    let options = LaunchOptions {
        path: Some(chromium.to_owned()),
        user_data_dir: Some(profile.to_owned()),
        sandbox: !runs_as_root(profile),
        window_size: Some(DESKTOP),
        idle_browser_timeout: PATIENCE * 4,
        args: ["--disable-component-update", "--no-first-run", mouse]
            .map(OsStr::new)
            .to_vec(),
        ..LaunchOptions::default()
    };
    Browser::new(options).expect("Chromium starts")
}

/// Chromium's sandbox does not work for root. What we have made belongs to us, which tells without a system call.
#[cfg(unix)]
fn runs_as_root(made: &Path) -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(made).expect("what we have made is there")) == 0
}

#[cfg(not(unix))]
fn runs_as_root(_made: &Path) -> bool {
    false
}

fn find_chromium() -> Option<PathBuf> {
    if let Some(chrome) = std::env::var_os("CHROME") {
        return Some(chrome.into());
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
    })
}
