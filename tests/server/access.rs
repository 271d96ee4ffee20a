//! Every route of the program's own tables, asked without a token, with a bad one and with an expired one: routes for
//! users answer 401, all others do not.

use fireside::api;
use fireside::http::Auth;
use serde_json::json;

use crate::rig::{Launch, forge};

/// A path with something in the place of each parameter.
fn concrete(path: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { "1" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn every_route_asks_for_what_its_row_says() {
    let secret = "a secret of more than thirty-two bytes, for tests";
    let server = Launch::new().env("JWT_SECRET_KEY", secret).start();
    let expired = forge(
        secret,
        &json!({"sub": "nobody", "jti": "1", "ver": 1, "exp": 1_000_000_000}),
    );
    let mut guarded = 0;
    for route in api::routes() {
        let path = concrete(route.path);
        for token in [None, Some("nonsense"), Some(expired.as_str())] {
            let call = server.call(route.method, &path);
            let reply = token.into_iter().fold(call, |call, token| call.bearer(token)).send();
            let asks = reply.status == 401 && reply.json()["detail"].is_string();
            assert_eq!(
                asks,
                route.auth == Auth::User,
                "{} {path} {token:?}: {}",
                route.method,
                reply.status
            );
        }
        guarded += usize::from(route.auth == Auth::User);
    }
    assert!(guarded > 10, "only {guarded} routes ask for a token");
}
