//! The example scripts against a real server, as a newcomer would run them.

use std::process::{Command, Output};

use serde_json::json;

use crate::rig::{Launch, Server, check_output, forge};

/// Runs a script of `examples/`; `None` when this machine has no curl, or no Python for those in Python.
fn run(script: &str, server: &Server, variables: &[(&str, &str)]) -> Option<Output> {
    let (needed, interpreter) = if script.ends_with(".py") {
        ("python3", "python3")
    } else {
        ("curl", "sh")
    };
    if Command::new(needed).arg("--version").output().is_err() {
        println!("skipped: no {needed} on this machine");
        return None;
    }
    let path = format!("{}/examples/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(interpreter);
    command
        .arg(&path)
        .current_dir(server.launch().home())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("BASE_URL", server.origin()).envs(variables.iter().copied());
    Some(command.output().expect("a shell"))
}

#[test]
fn the_chat_session_runs() {
    let server = Server::start();
    let Some(output) = run("curl-ai-chat.sh", &server, &[]) else {
        return;
    };
    check_output(
        &output,
        &["user@example.com", "My First Chat", "Echo: Hello, AI!", "\"total\":1"],
    );
    // Once more, with an account that is there already.
    let Some(output) = run("curl-ai-chat.sh", &server, &[]) else {
        return;
    };
    check_output(&output, &["Echo: Hello, AI!", "\"total\":2"]);
}

#[test]
fn the_todo_session_runs_with_an_account_of_this_server() {
    let server = Server::start();
    for _ in 0..2 {
        let Some(output) = run("curl-todo.sh", &server, &[]) else {
            return;
        };
        check_output(
            &output,
            &[
                "Echo: Hello, how are you?",
                "Echo: Tell me more about yourself",
                "\"tool_calls\":[]",
            ],
        );
    }
}

#[test]
fn the_todo_session_runs_with_a_token_from_elsewhere() {
    let secret = "the secret of the todo application, 32 bytes and more";
    let server = Launch::new().env("BETTER_AUTH_SECRET", secret).start();
    let token = forge(secret, &json!({"user_id": "user123"}));
    let Some(output) = run("curl-todo.sh", &server, &[("TOKEN", &token), ("USER_ID", "user123")]) else {
        return;
    };
    check_output(&output, &["\"conversation_id\":1", "Echo: Tell me more about yourself"]);
    assert_eq!(server.messages(&token, "1").len(), 4);
}

#[test]
fn the_python_client_runs() {
    let server = Server::start();
    for _ in 0..2 {
        let Some(output) = run("client.py", &server, &[]) else {
            return;
        };
        check_output(&output, &["Chat ", "user: Hello, AI!", "assistant: Echo: Hello, AI!"]);
    }
    let Some(output) = run("client.py", &server, &[("PASSWORD", "another")]) else {
        return;
    };
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("401: Incorrect username or password"), "{stderr}");
}

#[test]
fn the_flutter_session_runs() {
    let server = Server::start();
    for _ in 0..2 {
        let Some(output) = run("curl-flutter.sh", &server, &[]) else {
            return;
        };
        check_output(
            &output,
            &[
                "\"username\":\"alice\"",
                "From the phone",
                "Hello, AI!",
                "Echo: Hello, AI!",
                "\"status\":\"read\"",
            ],
        );
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(!shown.contains("access_token"), "{shown}");
    }
}

#[test]
fn the_chatai_session_runs() {
    let server = Server::start();
    for _ in 0..2 {
        let Some(output) = run("curl-chatai.sh", &server, &[]) else {
            return;
        };
        check_output(
            &output,
            &[
                "chatai@example.com",
                "\"gpt-4.1-nano\"",
                "Echo: Hello, ChatAI!",
                "Echo: Tell me more",
                "\"filename\":\"notes.txt\"",
                "\nTea is at five.\n",
                "\"usage_details\":[{",
                "Conversation renamed successfully",
                "Conversation deleted",
            ],
        );
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(!shown.contains("\"access_token\":\"ey"), "{shown}");
    }
}

#[test]
fn the_scripts_fail_when_the_server_does() {
    let mut server = Server::start();
    server.kill();
    for script in [
        "curl-ai-chat.sh",
        "curl-chatai.sh",
        "curl-flutter.sh",
        "curl-todo.sh",
        "client.py",
    ] {
        let Some(output) = run(script, &server, &[]) else {
            return;
        };
        assert!(!output.status.success(), "{script}");
        assert!(!output.stderr.is_empty(), "{script} says nothing");
    }
}
