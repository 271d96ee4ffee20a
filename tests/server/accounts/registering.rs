//! Registering, through `/auth/register` and `/users/`: who becomes what, what a registration must hold, passwords.

use serde_json::{Value, json};

use super::{check_422, own_shape, registered_shape, token_shape, user_shape};
use crate::rig::{Server, check_shape, invalid};

#[test]
fn the_first_account_is_the_admin_and_the_next_are_users() {
    let server = Server::start();
    for (email, role) in [
        ("ann@example.com", "admin"),
        ("bob@example.com", "user"),
        ("cat@example.com", "user"),
    ] {
        let reply = server
            .post("/auth/register")
            .json(&json!({"email": email, "password": "x"}))
            .send();
        check_shape(&reply, 201, &registered_shape(email, role));
        assert_eq!(reply.count("Set-Cookie"), 0);
        let token = reply.json()["access_token"].as_str().expect("a token").to_string();
        check_shape(
            &server.get("/users/me").bearer(&token).send(),
            200,
            &own_shape(email, email, role),
        );
    }
}

#[test]
fn of_many_first_accounts_at_once_one_is_the_admin() {
    let server = Server::start();
    let roles: Vec<Value> = std::thread::scope(|scope| {
        let register = |name: usize| {
            let body = json!({"email": format!("u{name}@example.com"), "password": "x"});
            server.post("/auth/register").json(&body).send().json()["role"].clone()
        };
        let racers: Vec<_> = (0..8).map(|name| scope.spawn(move || register(name))).collect();
        racers
            .into_iter()
            .map(|racer| racer.join().expect("it answers"))
            .collect()
    });
    assert_eq!(
        roles.iter().filter(|role| **role == json!("admin")).count(),
        1,
        "{roles:?}"
    );
}

#[test]
fn an_email_is_registered_once_whatever_its_case() {
    let server = Server::start();
    server.account("ann");
    for email in ["ann@example.com", "ANN@example.com", "Ann@Example.COM"] {
        let reply = server
            .post("/auth/register")
            .json(&json!({"email": email, "password": "another"}))
            .send();
        check_shape(&reply, 409, &json!({"detail": "Email already registered"}));
    }
    let reply = server
        .post("/auth/login")
        .json(&json!({"email": "ANN@EXAMPLE.com", "password": "the password of ann"}))
        .send();
    check_shape(&reply, 200, &token_shape());
    let body = json!({"email": "bob@example.com", "password": "x"});
    let racers: Vec<u16> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| server.post("/auth/register").json(&body).send().status))
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().expect("it answers"))
            .collect()
    });
    assert_eq!(racers.iter().filter(|status| **status == 201).count(), 1, "{racers:?}");
    assert_eq!(racers.iter().filter(|status| **status == 409).count(), 5, "{racers:?}");
}

#[test]
fn what_a_registration_must_hold() {
    let server = Server::start();
    let path = "/auth/register";
    let missing = |field: &str, input: Value| invalid("missing", &json!(["body", field]), "Field required", &input);
    let good = json!({"email": "ann@example.com", "password": "x"});
    check_422(
        &server,
        path,
        &json!({}),
        &[missing("email", json!({})), missing("password", json!({}))],
    );
    check_422(
        &server,
        path,
        &json!({"email": "ann@example.com"}),
        &[missing("password", json!({"email": "ann@example.com"}))],
    );
    check_422(
        &server,
        path,
        &json!({"password": "x"}),
        &[missing("email", json!({"password": "**********"}))],
    );
    for field in ["email", "password"] {
        for value in [json!(null), json!(5), json!(true), json!([]), json!({})] {
            let mut body = good.clone();
            body[field] = value.clone();
            let is_secret = field == "password" && value == json!(5);
            let shown = if is_secret { json!("**********") } else { value };
            check_422(
                &server,
                path,
                &body,
                &[invalid(
                    "string_type",
                    &json!(["body", field]),
                    "Input should be a valid string",
                    &shown,
                )],
            );
        }
    }
}

#[test]
fn passwords_and_addresses_have_limits() {
    let server = Server::start();
    let path = "/auth/register";
    let good = json!({"email": "ann@example.com", "password": "x"});
    let mut body = good.clone();
    body["password"] = json!("");
    let short = json!({"type": "string_too_short", "loc": ["body", "password"], "msg": "String should have at least 1 character", "input": "", "ctx": {"min_length": 1}});
    check_422(&server, path, &body, &[short]);
    body["password"] = json!("x".repeat(1025));
    check_422(
        &server,
        path,
        &body,
        &[
            json!({"type": "string_too_long", "loc": ["body", "password"], "msg": "<string>", "input": "<any>", "...": ["ctx"]}),
        ],
    );
    body["password"] = json!("x");
    body["display_name"] = json!(7);
    check_422(
        &server,
        path,
        &body,
        &[invalid(
            "string_type",
            &json!(["body", "display_name"]),
            "Input should be a valid string",
            &json!(7),
        )],
    );
    for email in [
        "",
        "nope",
        "@",
        "a@",
        "@b",
        "a b@example.com",
        "a@b@c",
        "a@exa mple.com",
        "a\n@example.com",
        "a\r\nBcc: x@example.com",
        "ann@example.com\u{0}",
    ] {
        let body = json!({"email": email, "password": "x"});
        check_422(
            &server,
            path,
            &body,
            &[
                json!({"type": "value_error", "loc": ["body", "email"], "msg": "<filled>", "input": email, "...": ["ctx"]}),
            ],
        );
    }
    // Nothing of all this made an account, and unknown keys are ignored.
    let mut body = good;
    body["role"] = json!("admin");
    body["id"] = json!("00000000-0000-0000-0000-000000000000");
    check_shape(
        &server.post(path).json(&body).send(),
        201,
        &registered_shape("ann@example.com", "admin"),
    );
    let second = json!({"email": "bob@example.com", "password": "x", "role": "admin"});
    check_shape(
        &server.post(path).json(&second).send(),
        201,
        &registered_shape("bob@example.com", "user"),
    );
}

#[test]
fn users_are_created_with_a_name() {
    let server = Server::start();
    let create = |username: &str, email: &str| {
        server
            .post("/users/")
            .json(&json!({"username": username, "email": email, "password": "x"}))
            .send()
    };
    check_shape(
        &create("ann", "ann@example.com"),
        200,
        &user_shape("ann@example.com", "ann", "admin"),
    );
    check_shape(
        &create("bob", "bob@example.com"),
        200,
        &user_shape("bob@example.com", "bob", "user"),
    );
    check_shape(
        &create("ann", "other@example.com"),
        400,
        &json!({"detail": "Username already registered"}),
    );
    check_shape(
        &create("ann", "ann@example.com"),
        400,
        &json!({"detail": "Username already registered"}),
    );
    check_shape(
        &create("other", "ann@example.com"),
        400,
        &json!({"detail": "Email already registered"}),
    );
    check_shape(
        &create("other", "ANN@example.com"),
        400,
        &json!({"detail": "Email already registered"}),
    );
    check_shape(
        &create(&"x".repeat(64), "long@example.com"),
        200,
        &user_shape("long@example.com", &"x".repeat(64), "user"),
    );
    check_shape(
        &create("имя ☃", "snow@example.com"),
        200,
        &user_shape("snow@example.com", "имя ☃", "user"),
    );
}

#[test]
fn names_have_a_length_and_sign_in() {
    let server = Server::start();
    let create = |username: &str, email: &str| {
        let body = json!({"username": username, "email": email, "password": "x"});
        server.post("/users/").json(&body).send()
    };
    assert_eq!(create("bob", "bob@example.com").status, 200);
    for name in [
        String::new(),
        "x".repeat(65),
        "not@allowed".to_string(),
        "bob@example.com".to_string(),
    ] {
        let reply = create(&name, "new@example.com");
        assert_eq!(reply.status, 422, "{name}: {}", reply.text());
        assert_eq!(reply.json()["detail"][0]["loc"], json!(["body", "username"]));
    }
    for login in ["bob", "bob@example.com"] {
        check_shape(
            &server
                .post("/auth/token")
                .form(&[("username", login), ("password", "x")])
                .send(),
            200,
            &token_shape(),
        );
        check_shape(
            &server
                .post("/auth/login")
                .json(&json!({"username": login, "password": "x"}))
                .send(),
            200,
            &token_shape(),
        );
    }
    let missing = |field: &str| invalid("missing", &json!(["body", field]), "Field required", &json!({}));
    check_422(
        &server,
        "/users/",
        &json!({}),
        &[missing("username"), missing("email"), missing("password")],
    );
}

#[test]
fn passwords_are_bytes_and_not_normalised() {
    let server = Server::start();
    let passwords = [
        "п",
        "密码🔥",
        "  spaces  ",
        "e\u{301}",
        "tab\tand\nnewline",
        "NUL\u{0}inside",
        "\u{1F468}\u{200D}\u{1F469}",
        &"x".repeat(1024),
        &"☃".repeat(341),
    ];
    for (index, password) in passwords.iter().enumerate() {
        let email = format!("u{index}@example.com");
        let reply = server
            .post("/auth/register")
            .json(&json!({"email": email, "password": password}))
            .send();
        assert_eq!(reply.status, 201, "{index}: {}", reply.text());
        let login = |password: &str| {
            server
                .post("/auth/login")
                .json(&json!({"email": email, "password": password}))
                .send()
                .status
        };
        assert_eq!(login(password), 200, "{index}");
        for near in [
            password.trim(),
            password.split('\0').next().unwrap_or_default(),
            &password.replace("e\u{301}", "é"),
            &password[..password.len().min(72)],
        ] {
            if near != *password && !near.is_empty() && near.len() < password.len() {
                assert_eq!(login(near), 401, "{index}: {near:?}");
            }
        }
    }
    let too_long = json!({"email": "long@example.com", "password": "☃".repeat(342)});
    assert_eq!(server.post("/auth/register").json(&too_long).send().status, 422);
}
