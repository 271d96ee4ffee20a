//! The doors for a name and a password: JSON, forms of both kinds, and what is no form.

use std::time::Duration;

use serde_json::json;

use super::{check_401, check_me, token_shape};
use crate::rig::{Connection, Launch, Server, check_shape, invalid, percent};

#[test]
fn login_answers_with_a_token_or_one_sentence() {
    let server = Server::start();
    let ann = server.account("ann");
    for body in [
        json!({"email": ann.email, "password": ann.password}),
        json!({"username": ann.email, "password": ann.password}),
    ] {
        let reply = server.post("/auth/login").json(&body).send();
        check_shape(&reply, 200, &token_shape());
        assert_eq!(reply.count("Set-Cookie"), 0);
        check_me(&server, reply.json()["access_token"].as_str().expect("a token"), &ann);
    }
    let wrong = [
        json!({"email": ann.email, "password": "wrong"}),
        json!({"email": "nobody@example.com", "password": "x"}),
        json!({"email": ann.email, "password": ann.password.to_uppercase()}),
        json!({"email": "not an address", "password": "x"}),
    ];
    for body in wrong {
        check_401(
            &server.post("/auth/login").json(&body).send(),
            "Incorrect username or password",
        );
    }
    for body in [
        json!({}),
        json!({"email": ann.email}),
        json!({"password": "x"}),
        json!({"email": null, "password": null}),
    ] {
        assert_eq!(server.post("/auth/login").json(&body).send().status, 422, "{body}");
    }
}

#[test]
fn the_form_doors_take_both_kinds_of_form() {
    let server = Server::start();
    let ann = server.account("ann");
    for path in ["/auth/token", "/token", "/auth/token/", "/token/"] {
        let (name, password) = (("username", ann.email.as_str()), ("password", ann.password.as_str()));
        let extra = [
            name,
            password,
            ("grant_type", "password"),
            ("scope", ""),
            ("client_id", "x"),
            ("client_secret", "y"),
        ];
        for fields in [&[name, password][..], &[password, name][..], &extra[..]] {
            check_shape(&server.post(path).form(fields).send(), 200, &token_shape());
            check_shape(&server.post(path).multipart(fields).send(), 200, &token_shape());
        }
        check_401(
            &server.post(path).form(&[name, ("password", "wrong")]).send(),
            "Incorrect username or password",
        );
        let grant = [name, password, ("grant_type", "client_credentials")];
        let entry = json!({"type": "<filled>", "loc": ["body", "grant_type"], "msg": "<filled>", "input": "client_credentials", "...": ["ctx"]});
        check_shape(&server.post(path).form(&grant).send(), 422, &json!({"detail": [entry]}));
        check_shape(
            &server.post(path).multipart(&grant).send(),
            422,
            &json!({"detail": [entry]}),
        );
        let missing = |field: &str| invalid("missing", &json!(["body", field]), "Field required", &json!(null));
        let both = json!({"detail": [missing("username"), missing("password")]});
        check_shape(
            &server
                .post(path)
                .json(&json!({"username": ann.email, "password": ann.password}))
                .send(),
            422,
            &both,
        );
        check_shape(&server.post(path).send(), 422, &both);
        check_shape(
            &server.post(path).form(&[name]).send(),
            422,
            &json!({"detail": [missing("password")]}),
        );
    }
}

fn post_form(server: &Server, text: &str) -> u16 {
    let kind = "application/x-www-form-urlencoded; charset=UTF-8";
    server
        .post("/auth/token")
        .header("Content-Type", kind)
        .body(text)
        .send()
        .status
}

#[test]
fn forms_are_decoded_as_browsers_encode_them() {
    let server = Server::start();
    let password = "a+b c&d=e%f пароль 🔥";
    let body = json!({"email": "ann+tag@example.com", "password": password});
    assert_eq!(server.post("/auth/register").json(&body).send().status, 201);
    let login = |text: String| post_form(&server, &text);
    let (name, secret) = (percent("ann+tag@example.com"), percent(password));
    assert_eq!(login(format!("username={name}&password={secret}")), 200);
    assert_eq!(
        login(format!("password={}&username={name}", secret.replace("%20", "+"))),
        200
    );
    assert_eq!(
        login(format!("username={name}&password={}", secret.replace("%2B", "+"))),
        401
    );
}

#[test]
fn broken_forms_are_refused() {
    let server = Server::start();
    for broken in [
        "username",
        "&&&",
        "=&=",
        "username=%&password=%zz",
        "username=%ff%fe&password=%00",
        "username=a&username=b",
    ] {
        let status = post_form(&server, broken);
        assert!((400..500).contains(&status), "{broken}: {status}");
    }
    for broken in [
        "--b0undary",
        "--b0undary\r\n\r\n\r\n--b0undary--\r\n",
        "",
        "--other\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nx\r\n--other--\r\n",
    ] {
        let reply = server
            .post("/auth/token")
            .header("Content-Type", "multipart/form-data; boundary=b0undary")
            .body(broken)
            .send();
        assert!((400..500).contains(&reply.status), "{broken:?}: {}", reply.status);
    }
    for kind in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"",
        "multipart/form-data; boundary=\"a\r",
    ] {
        let kind = kind.trim_end();
        assert!(
            (400..500).contains(
                &server
                    .post("/auth/token")
                    .header("Content-Type", kind)
                    .body("--\r\n")
                    .send()
                    .status
            ),
            "{kind}"
        );
    }
}

/// Those whom the queue has no room for are told at once, and to come back.
#[test]
fn a_larger_crowd_than_can_be_hashed_is_told_to_come_back() {
    const CROWD: usize = 300;
    let server = Launch::new().args(&["--workers", "4"]).start();
    let mut crowd: Vec<Connection> = (0..CROWD).map(|_| server.connect()).collect();
    for (index, connection) in crowd.iter_mut().enumerate() {
        let body = json!({"email": format!("stranger{index}@example.com"), "password": "x"});
        connection.send(&server.post("/auth/login").json(&body).bytes());
    }
    let replies: Vec<_> = crowd.iter_mut().map(|connection| connection.reply("POST")).collect();
    let (refused, answered): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 503);
    assert!(answered.iter().all(|reply| reply.status == 401));
    // Two are being hashed, 64 wait.
    assert!(answered.len() >= 64 && !refused.is_empty(), "{}", refused.len());
    for reply in refused {
        assert_eq!(reply.header("Retry-After"), Some("1"), "{}", reply.text());
        assert!(!reply.detail().is_empty());
    }
    let ann = server.account("ann");
    server.login(&ann);
}

/// Hashing passwords takes its time, which those who sign in spend among themselves.
#[test]
fn a_crowd_that_signs_in_keeps_nobody_else_from_writing() {
    const CROWD: usize = 60;
    let server = Launch::new().args(&["--workers", "10"]).start();
    let ann = server.account("ann");
    let routes = ["/auth/login", "/auth/session", "/auth/register", "/users/me"];
    let mut crowd: Vec<Connection> = (0..CROWD).map(|_| server.connect()).collect();
    for (index, connection) in crowd.iter_mut().enumerate() {
        let email = format!("stranger{index}@example.com");
        let call = match index % 4 {
            3 => server
                .patch(routes[3])
                .bearer(&ann.token)
                .json(&json!({"password": ann.password, "current_password": ann.password})),
            route => server
                .post(routes[route])
                .json(&json!({"email": email, "password": "x"})),
        };
        connection.send(&call.bytes());
    }
    let reply = server
        .post("/chats")
        .bearer(&ann.token)
        .json(&json!({"title": "mine"}))
        .send();
    assert_eq!(reply.status, 201, "{}", reply.text());
    let is_answered = |connection: &mut Connection| connection.reply_within("POST", Duration::ZERO).ok();
    let early: Vec<Option<u16>> = crowd
        .iter_mut()
        .map(|connection| is_answered(connection).map(|reply| reply.status))
        .collect();
    let answered = early.iter().flatten().count();
    assert!(answered < CROWD / 2, "it waited for {answered} of {CROWD} who sign in");
    for ((index, connection), early) in crowd.iter_mut().enumerate().zip(early) {
        let status = early.unwrap_or_else(|| connection.reply("POST").status);
        assert_eq!(status, [401, 401, 201, 200][index % 4], "{}", routes[index % 4]);
    }
}

#[test]
fn what_is_secret_is_never_repeated() {
    const SECRET: &str = "canary-of-a-password";
    let server = Server::start();
    let ann = server.account("ann");
    let long = SECRET.repeat(1 + 1024 / SECRET.len());
    let bodies = [
        json!({"password": SECRET}),
        json!({"email": "q@q.example", "password": [SECRET]}),
        json!({"email": "q@q.example", "password": long}),
        json!({"setup_code": {"x": SECRET}, "current_password": [SECRET], "password": SECRET}),
        json!([SECRET]),
        json!(SECRET),
    ];
    for body in &bodies {
        for (method, path) in [
            ("POST", "/auth/register"),
            ("POST", "/users/"),
            ("POST", "/auth/login"),
            ("POST", "/auth/session"),
            ("PATCH", "/users/me"),
        ] {
            let reply = server.call(method, path).bearer(&ann.token).json(body).send();
            let text = reply.text();
            assert!((400..500).contains(&reply.status), "{method} {path} {body}: {text}");
            assert!(!text.contains(SECRET), "{method} {path} {body}: {text}");
        }
    }
    let reply = server.post("/auth/token").form(&[("password", SECRET)]).send();
    assert_eq!(reply.status, 422);
    assert!(!reply.text().contains(SECRET), "{}", reply.text());
    let missing = server
        .post("/auth/register")
        .json(&json!({"password": SECRET}))
        .send()
        .json();
    assert_eq!(missing["detail"][0]["input"], json!({"password": "**********"}));
}
