//! What the tests of the web UI stand on: a tab that does what a person does, and tells what the browser said.

use headless_chrome::browser::tab::ModifierKey;
use headless_chrome::browser::tab::point::Point;
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::protocol::cdp::{Emulation, Log, Network, Page as PageDomain, Runtime};
use headless_chrome::{Browser, Tab};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use crate::server::{start, start_with};

/// How long anything may take to appear. Far more than it does: argon2 in a debug build on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// So long without a request, and what was asked for has come.
const QUIET_MS: u32 = 500;
pub(crate) const DESKTOP: (u32, u32) = (1280, 800);
pub(crate) const PHONE: (u32, u32) = (390, 844);
pub(crate) const EMAIL: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "a quiet evening by the fire";

/// One tab, and what the browser said about it.
pub(crate) struct Page {
    tab: Arc<Tab>,
    pub(crate) complaints: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<Vec<String>>>,
    /// By the browser's id of a request: its address, and what came over the wire for it, head and body as they were sent.
    transfers: Arc<Mutex<BTreeMap<String, (String, f64)>>>,
}

impl Page {
    pub(crate) fn open(browser: &Browser, url: &str) -> Self {
        let tab = browser.new_tab().expect("a tab");
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let transfers = Arc::new(Mutex::new(BTreeMap::new()));
        let (said, asked, sent) = (Arc::clone(&complaints), Arc::clone(&requests), Arc::clone(&transfers));
        let listener = move |event: &Event| {
            if let Event::NetworkRequestWillBeSent(event) = event {
                asked.lock().unwrap().push(event.params.request.url.clone());
            }
            note_transfer(&mut sent.lock().unwrap(), event);
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
            transfers,
        };
        page.prefer("light");
        page.resize(DESKTOP);
        // As a browser asks for it: the root answers people with the page.
        page.tab.navigate_to(url).expect("the page");
        page
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// What was asked for and how many bytes came for it, once nothing more is asked for.
    pub(crate) fn transfers(&self) -> Vec<(String, f64)> {
        let quiet = format!(
            "performance.getEntriesByType('resource').every((entry) => entry.responseEnd > 0 && performance.now() - entry.responseEnd > {QUIET_MS})"
        );
        self.wait("a quiet network", &quiet);
        self.transfers.lock().unwrap().values().cloned().collect()
    }

    /// Runs `script` in every page that this tab goes to from now on, before the page's own.
    pub(crate) fn before_each_page(&self, script: &str) {
        let script = PageDomain::AddScriptToEvaluateOnNewDocument {
            source: script.to_owned(),
            world_name: None,
            include_command_line_api: None,
            run_immediately: None,
        };
        self.tab.call_method(script).expect("a script for every page");
    }

    /// Lives in another time zone, such as `Pacific/Honolulu`.
    pub(crate) fn live_in(&self, zone: &str) {
        let zone = Emulation::SetTimezoneOverride {
            timezone_id: zone.to_owned(),
        };
        self.tab.call_method(zone).expect("another time zone");
    }

    pub(crate) fn press_with(&self, modifier: ModifierKey, key: &str) {
        self.tab.press_key_with_modifiers(key, Some(&[modifier])).expect(key);
    }

    /// Nothing was complained about, and nothing was asked of anybody but the server, whose `file` was.
    pub(crate) fn assert_quiet(&self, origin: &str, file: &str) {
        assert_eq!(self.complaints(), Vec::<String>::new(), "the browser complained");
        let requests = self.requests();
        assert!(
            requests.iter().any(|url| url.ends_with(file)),
            "requests are not seen: {requests:?}"
        );
        // What the page holds itself has such addresses too.
        let local = ["data:".to_owned(), format!("blob:{origin}/"), format!("{origin}/")];
        let own = |url: &String| local.iter().any(|start| url.starts_with(start));
        let foreign: Vec<_> = requests.iter().filter(|url| !own(url)).collect();
        assert!(foreign.is_empty(), "requests left the origin: {foreign:?}");
    }

    /// The value of a JavaScript expression; null while the page is on its way to another.
    pub(crate) fn eval(&self, expression: &str) -> Value {
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
    pub(crate) fn wait(&self, what: &str, condition: &str) {
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
    pub(crate) fn wait_for_texts(&self, texts: &[&str]) {
        let shown = "[...document.querySelectorAll('.message .text')].map((node) => node.textContent.trim())";
        let wanted = serde_json::to_string(texts).unwrap();
        let same = format!("JSON.stringify({shown}) === JSON.stringify({wanted})");
        self.wait(&format!("messages {wanted}"), &same);
    }

    /// Presses the middle of an element, by mouse.
    pub(crate) fn click(&self, selector: &str) {
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
    pub(crate) fn fill(&self, selector: &str, text: &str) {
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

    pub(crate) fn press(&self, key: &str) {
        self.tab.press_key(key).expect(key);
    }

    /// Presses what a JavaScript expression names, by mouse or not: for what only shows while something hovers.
    pub(crate) fn press_button(&self, element: &str) {
        self.wait(
            element,
            &format!("({element} ?? null) !== null && !({element}).disabled"),
        );
        self.eval(&format!("(({element}).click(), 1)"));
    }

    /// Makes the first account and waits for the empty conversation.
    pub(crate) fn sign_up(&self) {
        self.fill("#email", EMAIL);
        self.fill("#password", PASSWORD);
        self.press("Enter");
        self.wait("the empty conversation", "document.querySelector('.welcome') !== null");
        self.wait("the loaded list", "document.querySelector('.list-note') !== null");
    }

    /// Writes a message and sends it.
    pub(crate) fn send(&self, text: &str) {
        self.fill("#message", text);
        self.wait(
            "a ready button",
            "document.querySelector('.send:not(.stop):not(:disabled)') !== null",
        );
        self.press_button("document.querySelector('.send')");
        self.wait("an empty composer", "document.querySelector('#message').value === ''");
    }

    /// Waits until the reply is whole and stored.
    pub(crate) fn wait_for_end(&self) {
        let ended = "location.pathname.includes('/ui/c/') && document.querySelector('.send.stop') === null \
            && document.querySelector('.thinking') === null && document.querySelector('.message:last-child:not(.own) .actions') !== null";
        self.wait("the end of the reply", ended);
    }

    /// Goes to a page of the UI by its address.
    pub(crate) fn visit(&self, origin: &str, name: &str) {
        self.tab.navigate_to(&format!("{origin}/ui/{name}")).expect("the page");
        self.wait(name, "document.querySelector('.frame') !== null");
    }

    /// The address, without the origin.
    pub(crate) fn path(&self) -> String {
        self.eval("location.pathname").as_str().unwrap_or_default().to_owned()
    }

    /// Everything that can be operated has a name. With axe-core's file in `FIRESIDE_AXE`, all that it checks.
    pub(crate) fn assert_accessible(&self) {
        let nameless = "[...document.querySelectorAll('button, a[href], input:not([type=file]), select, textarea, img, dialog')] \
            .filter((node) => node.offsetParent !== null && !node.labels?.length) \
            .filter((node) => !(node.getAttribute('aria-label') ?? node.getAttribute('aria-labelledby') ?? node.textContent ?? '').trim()) \
            .filter((node) => !node.hasAttribute('alt')).map((node) => node.outerHTML)";
        assert_eq!(self.eval(nameless), serde_json::json!([]), "without a name");
        let Some(axe) = std::env::var_os("FIRESIDE_AXE") else {
            return;
        };
        if self.eval("typeof axe") == "undefined" {
            let axe = fs::read_to_string(axe).expect("axe-core's file");
            self.tab.evaluate(&axe, false).expect("axe-core");
        }
        let run = "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => \
            JSON.stringify(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])))";
        let found = self.tab.evaluate(run, true).expect("axe-core's report").value;
        assert_eq!(found, Some(Value::String("[]".into())), "axe-core complained");
    }

    pub(crate) fn reload(&self) {
        self.reload_with(None);
    }

    /// Loads the page as if for the first time, and counts transfers from here on.
    pub(crate) fn load_anew(&self) {
        self.transfers();
        self.transfers.lock().unwrap().clear();
        self.reload_with(Some(true));
    }

    fn reload_with(&self, ignore_cache: Option<bool>) {
        // The mark tells the old page from the new one, whose elements are the same.
        self.eval("window.isOld = true");
        self.tab
            .call_method(PageDomain::Reload {
                ignore_cache,
                script_to_evaluate_on_load: None,
                loader_id: None,
            })
            .expect("a reload");
        self.wait(
            "the reloaded page",
            "window.isOld === undefined && document.querySelector('.frame, .sign-in') !== null",
        );
    }

    pub(crate) fn resize(&self, (width, height): (u32, u32)) {
        self.tab
            .call_method(Emulation::SetDeviceMetricsOverride {
                width,
                height,
                device_scale_factor: 1.0,
                // Scroll bars lie over the page there, and are gone when nobody scrolls.
                mobile: width < 600,
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
    pub(crate) fn prefer(&self, scheme: &str) {
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
    pub(crate) fn assert_fits(&self) {
        let sizes =
            "[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]";
        assert_eq!(
            self.eval(sizes),
            serde_json::json!([0, 0]),
            "the page is larger than the window"
        );
    }

    /// Why the page cannot be put among the system's programs.
    pub(crate) fn installability_errors(&self) -> Vec<String> {
        let found = self.tab.call_method(PageDomain::GetInstallabilityErrors(None));
        let errors = found.expect("the browser's opinion").installability_errors;
        errors.into_iter().map(|error| error.error_id).collect()
    }

    /// Keeps a picture, if asked to by `FIRESIDE_SCREENSHOTS`.
    pub(crate) fn shot(&self, name: &str) {
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

fn note_transfer(transfers: &mut BTreeMap<String, (String, f64)>, event: &Event) {
    match event {
        Event::NetworkRequestWillBeSent(sent) => {
            let address = sent.params.request.url.clone();
            transfers.insert(sent.params.request_id.clone(), (address, 0.0));
        }
        Event::NetworkWebSocketCreated(made) => {
            transfers.insert(made.params.request_id.clone(), (made.params.url.clone(), 0.0));
        }
        Event::NetworkLoadingFinished(done) => {
            if let Some((_, bytes)) = transfers.get_mut(&done.params.request_id) {
                *bytes = done.params.encoded_data_length;
            }
        }
        _ => {}
    }
}
