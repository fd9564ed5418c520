//! A headless browser, driven over the Chrome `DevTools` Protocol by this crate's own client.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use websocket_proto::ClientRequest;

use crate::live::{Client, connect, wait_until};
use crate::shared::program::Program;

/// Chromium, with a profile of its own.
pub(crate) struct Browser {
    process: Program,
    profile: PathBuf,
    client: Client<TcpStream>,
    calls: u64,
}

/// A tab, identified by its `DevTools` session.
pub(crate) struct Tab(String);

impl Browser {
    pub(crate) fn start() -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let profile = std::env::temp_dir().join(format!("chat-browser-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&profile);
        fs::create_dir_all(&profile).expect("a temporary directory");
        let mut chromium = Command::new("chromium");
        // Only the tested page: no sandbox, which root cannot have, and no background requests.
        chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
        chromium.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        chromium.args(["--disable-dev-shm-usage", "--remote-debugging-port=0", "about:blank"]);
        chromium.arg(format!("--user-data-dir={}", profile.display()));
        let process = chromium.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("chromium is installed");
        let process = Program(process);
        // The port of `DevTools`, and its path.
        let mut active = String::new();
        wait_until("chromium listens", || {
            active = fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
            active.lines().count() == 2
        });
        let (port, path) = active.split_once('\n').expect("two lines");
        let address = format!("127.0.0.1:{port}");
        let request = ClientRequest::new(format!("ws://{address}{path}"));
        let client = Client::open(connect(&address), &request).expect("the chat accepts the client");
        Self { process, profile, client, calls: 0 }
    }

    /// Opens a page in a window of this size.
    pub(crate) fn open(&mut self, url: &str, (width, height): (u32, u32)) -> Tab {
        let target = self.call(None, "Target.createTarget", &json!({ "url": "about:blank", "newWindow": true }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", &attach)["sessionId"].clone();
        let tab = Tab(session.as_str().expect("a session has a name").to_owned());
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call(Some(&tab), "Emulation.setDeviceMetricsOverride", &size);
        self.call(Some(&tab), "Page.navigate", &json!({ "url": url }));
        self.wait_for(&tab, &format!("location.href.startsWith('{url}') && document.readyState === 'complete'"));
        tab
    }

    /// The value of an expression; of a promise, the value that it resolves to.
    pub(crate) fn evaluate(&mut self, tab: &Tab, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call(Some(tab), "Runtime.evaluate", &parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn wait_for(&mut self, tab: &Tab, expression: &str) {
        wait_until(expression, || self.evaluate(tab, &format!("Boolean({expression})")) == true);
    }

    /// Types into the element that the selector matches, and presses Enter.
    pub(crate) fn type_into(&mut self, tab: &Tab, selector: &str, text: &str) {
        self.evaluate(tab, &format!("document.querySelector('{selector}').focus()"));
        self.call(Some(tab), "Input.insertText", &json!({ "text": text }));
        for kind in ["keyDown", "keyUp"] {
            let key =
                json!({ "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r" });
            self.call(Some(tab), "Input.dispatchKeyEvent", &key);
        }
    }

    /// Selects the page's dark or light colours.
    pub(crate) fn prefer(&mut self, tab: &Tab, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call(Some(tab), "Emulation.setEmulatedMedia", &features);
    }

    /// A picture of the page, in base64.
    pub(crate) fn picture(&mut self, tab: &Tab) -> String {
        let picture =
            self.call(Some(tab), "Page.captureScreenshot", &json!({ "format": "png", "optimizeForSpeed": false }));
        picture["data"].as_str().expect("a picture").to_owned()
    }

    fn call(&mut self, tab: Option<&Tab>, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(Tab(session)) = tab {
            message["sessionId"] = json!(session);
        }
        self.client.send(&message);
        let answer = self.client.next(|message| message["id"] == id);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill();
        let _ = fs::remove_dir_all(&self.profile);
    }
}
