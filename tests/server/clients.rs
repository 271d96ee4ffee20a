//! OpenAI's door, opened by its own clients: the official Python and JavaScript packages, and the `llm` command.
//! `.ci/run` installs them; elsewhere `FIRESIDE_TEST_CLIENTS` may name a folder that holds them (`venv` for Python's, and
//! `node/node_modules`).

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::json;

use crate::rig::{Desk, Upstream, check_output};

/// Where a client is; says so when it is not there.
fn client(path: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("FIRESIDE_TEST_CLIENTS") else {
        println!("skipped: FIRESIDE_TEST_CLIENTS names no folder with the clients");
        return None;
    };
    let found = PathBuf::from(folder).join(path);
    if !found.exists() {
        println!("skipped: there is no {}", found.display());
        return None;
    }
    Some(found)
}

struct Door {
    desk: Desk,
    key: String,
    _upstream: Upstream,
}

impl Door {
    fn open() -> Door {
        let upstream = Upstream::start();
        let desk = Desk::with_upstream(&upstream, "fake", &[]);
        let made = desk.call("POST", "/api-keys").json(&json!({ "name": "client" })).send();
        let key = made.json()["key"].as_str().expect("a key").to_owned();
        Door {
            desk,
            key,
            _upstream: upstream,
        }
    }

    fn url(&self) -> String {
        format!("{}/v1", self.desk.server.origin())
    }

    fn run(&self, command: &mut Command) -> Output {
        command
            .current_dir(self.desk.server.launch().home())
            .env("BASE_URL", self.url())
            .env("API_KEY", &self.key)
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .expect("a client")
    }
}

fn script(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_python_package() {
    let Some(python) = client("venv/bin/python") else {
        return;
    };
    let output = Door::open().run(Command::new(python).arg(script("openai_client.py")));
    let calls = ["whole", "stream", "tools", "vision", "embeddings", "errors"];
    let lines = calls.map(|call| format!("python: {call}"));
    check_output(&output, &lines.each_ref().map(String::as_str));
}

#[test]
fn the_javascript_package() {
    let Some(modules) = client("node/node_modules") else {
        return;
    };
    let mut command = Command::new("node");
    command.arg(script("openai_client.cjs")).env("NODE_PATH", modules);
    let output = Door::open().run(&mut command);
    let calls = ["whole", "stream", "tools", "vision", "embeddings", "errors"];
    let lines = calls.map(|call| format!("javascript: {call}"));
    check_output(&output, &lines.each_ref().map(String::as_str));
}

#[test]
fn the_llm_command() {
    let Some(llm) = client("venv/bin/llm") else {
        return;
    };
    let door = Door::open();
    let home = door.desk.server.launch().home().join("llm");
    std::fs::create_dir(&home).expect("a folder");
    let models = format!(
        "- model_id: fireside\n  model_name: fake\n  api_base: {}\n  api_key_name: fireside\n",
        door.url()
    );
    std::fs::write(home.join("extra-openai-models.yaml"), models).expect("a file");
    for more in [&[][..], &["--no-stream"]] {
        let mut command = Command::new(&llm);
        command
            .env("LLM_USER_PATH", &home)
            .args(["-m", "fireside", "--key", &door.key]);
        let output = door.run(command.args(more).arg("Hello"));
        check_output(&output, &["fake reply to: Hello"]);
    }
}
