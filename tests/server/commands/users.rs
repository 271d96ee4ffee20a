//! `fireside user`.

use serde_json::{Value, json};

use super::Tool;
use crate::rig::{Launch, Server, forge};

fn emails(tool: &Tool) -> Vec<(String, String, bool)> {
    let users = tool.json(&["user", "list", "--json"]);
    let row = |user: &Value| {
        let text = |name: &str| user[name].as_str().expect("a string").to_owned();
        (text("email"), text("role"), user["disabled"] == true)
    };
    users.as_array().expect("a list").iter().map(row).collect()
}

fn row(name: &str, role: &str, is_disabled: bool) -> (String, String, bool) {
    (format!("{name}@example.com"), role.to_owned(), is_disabled)
}

#[test]
fn the_first_account_is_made_in_an_empty_folder_and_administers() {
    let tool = Tool::alone();
    let exit = tool.add("ann");
    assert!(
        exit.stderr.contains("Made the administrator ann@example.com"),
        "{exit:?}"
    );
    assert!(tool.add("bob").stderr.contains("Made the account bob@example.com"));
    let words = [
        "user",
        "add",
        "cleo@example.com",
        "--admin",
        "--name",
        "cleo",
        "--password-stdin",
    ];
    tool.does_with(&words, "secret\n");
    assert_eq!(
        emails(&tool),
        [
            row("ann", "admin", false),
            row("bob", "user", false),
            row("cleo", "admin", false)
        ]
    );
    let table = tool.does(&["user", "list"]);
    assert!(table.starts_with("account"), "{table}");
    assert_eq!(table.lines().count(), 4);
    assert!(table.contains("bob@example.com   user"), "{table}");
    tool.refuses(
        &["user", "list", "--data", "/proc/nowhere"],
        3,
        &["The data folder /proc/nowhere cannot be used"],
    );
}

#[test]
fn the_owners_commands_are_in_the_log() {
    let server = Server::start();
    let tool = Tool::beside(server.launch());
    tool.add("ann");
    tool.add("bob");
    tool.does(&["user", "limit", "bob@example.com", "--messages-per-day", "5"]);
    tool.does(&["key", "create", "bot", "--account", "bob@example.com"]);
    let ann = json!({"email": "ann@example.com", "password": "the password of ann"});
    let token = server.post("/auth/login").json(&ann).send().json()["access_token"].clone();
    let token = token.as_str().expect("a token");
    let log = server.get("/admin/audit").bearer(token).send().json();
    let entries = log["entries"].as_array().expect("a list").iter();
    let told: Vec<_> = entries
        .map(|entry| {
            // It is the owner of the folder, whichever account the commands use.
            let who = (&entry["user_id"], &entry["user_name"], &entry["address"]);
            let owner = json!("owner of the data folder");
            assert_eq!(who, (&Value::Null, &owner, &Value::Null), "{entry}");
            (&entry["act"], &entry["subject"], &entry["means"])
        })
        .collect();
    let by_command = json!("command_line");
    let (ann, bob) = (json!("ann@example.com"), json!("bob@example.com"));
    let (create, update, act_for) = (json!("user.create"), json!("user.update"), json!("user.act_for"));
    assert_eq!(
        told,
        [
            (&act_for, &bob, &by_command),
            (&update, &bob, &by_command),
            (&create, &bob, &by_command),
            (&create, &ann, &by_command)
        ]
    );
    // However a browser calls itself, its session is none of the owner's.
    let call = server
        .put("/admin/signup")
        .bearer(token)
        .header("User-Agent", "command line");
    assert_eq!(call.json(&json!({"signup": "closed"})).send().status, 200);
    let log = server.get("/admin/audit").bearer(token).send().json();
    assert_eq!(log["entries"][0]["means"], "session");
}

/// All that there is to do with an account, whether a server runs or not.
#[track_caller]
fn check_life(tool: &Tool, server: Option<&Server>) {
    tool.add("ann");
    tool.add("bob");
    let can_login = |password: &str| {
        server.map(|server| {
            let body = json!({"email": "bob@example.com", "password": password});
            server.post("/auth/login").json(&body).send().status == 200
        })
    };
    assert_ne!(can_login("the password of bob"), Some(false));
    tool.does_with(
        &["user", "passwd", "BOB@example.com", "--password-stdin"],
        "another\r\n",
    );
    assert_ne!(can_login("the password of bob"), Some(true));
    assert_ne!(can_login("another"), Some(false));
    let limits = |tool: &Tool| {
        let bob = tool.json(&["user", "list", "--json"])[1].clone();
        ["messages_per_day", "budget_usd_month", "upload_quota_mib"].map(|name| bob[name].clone())
    };
    let limit = ["user", "limit", "bob@example.com"];
    tool.does(&[&limit[..], &["--messages-per-day", "50", "--budget-usd-month", "2.5"]].concat());
    assert_eq!(limits(tool), [json!(50), json!(2.5), json!(null)]);
    tool.does(
        &[
            &limit[..],
            &["--messages-per-day", "default", "--upload-quota-mib", "7"],
        ]
        .concat(),
    );
    assert_eq!(limits(tool), [json!(null), json!(2.5), json!(7)]);
    let table = tool.does(&["user", "list"]);
    assert!(table.contains("  $2.5/month, 7 MiB  "), "{table}");
    tool.does(&[&limit[..], &["--messages-per-day", "0"]].concat());
    assert!(
        tool.does(&["user", "list"])
            .contains("  no limit/day, $2.5/month, 7 MiB  ")
    );
    for (flag, value) in [
        ("--messages-per-day", "many"),
        ("--budget-usd-month", "nan"),
        ("--budget-usd-month", "inf"),
        ("--budget-usd-month", "1e400"),
    ] {
        tool.refuses(&[&limit[..], &[flag, value]].concat(), 2, &[flag, value]);
    }
    tool.refuses(&limit, 2, &["--messages-per-day"]);
    tool.does(&["user", "disable", "bob@example.com"]);
    assert_eq!(emails(tool)[1], row("bob", "user", true));
    assert_ne!(can_login("another"), Some(true));
    tool.refuses(
        &["ask", "hi", "--account", "bob@example.com"],
        1,
        &["is disabled", "user enable"],
    );
    tool.does(&["user", "enable", "bob@example.com"]);
    assert_ne!(can_login("another"), Some(false));
    tool.refuses(
        &["user", "delete", "bob@example.com"],
        2,
        &["Nothing was deleted", "--yes"],
    );
    assert_eq!(emails(tool).len(), 2);
    tool.does(&["user", "delete", "bob@example.com", "--yes"]);
    assert_eq!(emails(tool), [row("ann", "admin", false)]);
    let last = ["user", "delete", "ann@example.com", "--yes"];
    tool.refuses(&last, 1, &["the last administrator"]);
    tool.refuses(
        &["user", "disable", "nobody@example.com"],
        1,
        &["There is no account", "user list"],
    );
    let taken = tool.run_with(&["user", "add", "ann@example.com", "--password-stdin"], "x\n");
    assert_eq!(taken.code, Some(1));
    assert!(taken.stderr.contains("Email already registered"), "{taken:?}");
    let malformed = tool.run_with(&["user", "add", "ann", "--password-stdin"], "x\n");
    assert!(malformed.stderr.contains("email: "), "{malformed:?}");
}

#[test]
fn accounts_live_and_end_without_a_server() {
    check_life(&Tool::alone(), None);
}

#[test]
fn accounts_live_and_end_beside_a_server() {
    let server = Server::start();
    check_life(&Tool::beside(server.launch()), Some(&server));
}

/// Off loopback, where nobody registers without the setup code, the owner of the folder needs none.
#[test]
fn the_owner_needs_no_setup_code() {
    let server = Launch::new().args(&["--public-url", "http://chat.example.com"]).start();
    assert!(server.stdout().contains("#setup="), "{}", server.stdout());
    let tool = Tool::beside(server.launch());
    tool.refuses(&["ask", "hi"], 1, &["There is no account", "fireside user add"]);
    assert!(tool.add("ann").stderr.contains("administrator"));
    let signup = &server.get("/api/version").send().json()["signup"];
    assert_ne!(*signup, json!("open"));
}

#[test]
fn passwords_are_no_arguments() {
    let tool = Tool::alone();
    let add = ["user", "add", "ann@example.com"];
    tool.refuses(&add, 2, &["no terminal to ask for the password on", "--password-stdin"]);
    let empty = tool.run_with(&["user", "add", "ann@example.com", "--password-stdin"], "\n");
    assert_eq!(empty.code, Some(2), "{empty:?}");
    tool.refuses(&["user", "add", "ann@example.com", "secret"], 2, &["secret"]);
    assert!(!tool.data().exists(), "nothing was opened for what makes no sense");
}

/// Other systems give their users any ids, also such as are somebody's address here.
#[test]
fn a_name_that_several_accounts_have_names_none_of_them() {
    const THEIRS: &str = "a secret that another system shares with this one";
    let launch = Launch::new().env("BETTER_AUTH_SECRET", THEIRS);
    let server = launch.start();
    let tool = Tool::beside(&launch);
    tool.add("ann");
    tool.add("bob");
    let foreign = forge(THEIRS, &json!({"sub": "bob@example.com"}));
    assert_eq!(server.get("/users/me").bearer(&foreign).send().status, 200);
    let words = ["may be any of these accounts", "by its id"];
    for task in [&["disable"][..], &["enable"], &["delete", "--yes"]] {
        let words_of_task = [&["user"], task, &["bob@example.com"]].concat();
        tool.refuses(&words_of_task, 2, &words);
    }
    let exit = tool.run_with(&["user", "passwd", "bob@example.com", "--password-stdin"], "another\n");
    assert_eq!(exit.code, Some(2), "{exit:?}");
    let listed = tool.json(&["user", "list", "--json"]);
    let listed = listed.as_array().expect("a list");
    assert!(
        listed.len() == 3 && listed.iter().all(|user| user["disabled"] != true),
        "{listed:?}"
    );
    let bob = listed
        .iter()
        .find(|user| user["email"] == "bob@example.com")
        .expect("bob");
    tool.does(&["user", "disable", bob["id"].as_str().expect("an id")]);
}
