//! What the doors take: every field of every JSON body, and every parameter of every path and query, as no client sends
//! it. Missing, null, of each wrong type, and of the right one but strange: each is refused, or taken and given back as it
//! was. None is an internal error. What there is to try is read from `/openapi.json`.

use fireside::api::{self, RouteFacts};
use fireside::http::Auth;
use serde_json::{Map, Value, json};

use super::estate::{Estate, Request, name, requests, resolve, text};
use crate::rig::{Call, Reply, Server, percent, slow};

/// In the place of a field's value, as they stand in JSON.
const STRANGE: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "9223372036854775808",
    "123456789012345678901234567890123456789012345678901234567890",
    "1e308",
    "\"\"",
    "\" \"",
    "\"text\"",
    "\"-1\"",
    r#""\u0000""#,
    r#""\u202e\ufeff\u2028\ud83d\udd25""#,
    r#""'; DROP TABLE users; -- ${7*7} {{7*7}} %s%n ../../etc/passwd""#,
    "[]",
    "[null]",
    "{}",
    r#"{"a":{"b":[{}]}}"#,
    // Malformed, wherever they stand.
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    "1e999",
    "NaN",
];

/// More of them, for the long form.
const STRANGER: &[&str] = &[
    "false",
    "-0.0",
    "1",
    "2147483648",
    "-9223372036854775809",
    "18446744073709551615",
    "1e-400",
    "\"1\"",
    "\"null\"",
    "\"2999-13-45T99:99:99Z\"",
    "\"00000000-0000-0000-0000-000000000000\"",
    "\"a\\r\\nSet-Cookie: x=y\"",
    "[[[[[[[[[[]]]]]]]]]]",
    "[1,\"a\",{}]",
    "{\"\":\"\"}",
    "\"\\ud83d\"",
    "01",
    "+1",
    "'a'",
    "undefined",
];

/// Whole bodies that are no JSON, or too much of it.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    const MANY: usize = 100_000;
    let keys: Vec<String> = (0..MANY / 2).map(|at| format!("\"k{at}\":0")).collect();
    vec![
        ("nothing", vec![]),
        ("a hundred thousand brackets", "[".repeat(MANY).into_bytes()),
        (
            "and their ends",
            format!("{}{}", "[".repeat(MANY), "]".repeat(MANY)).into_bytes(),
        ),
        ("a hundred thousand objects", "{\"a\":".repeat(MANY).into_bytes()),
        (
            "and theirs",
            format!("{}0{}", "{\"a\":".repeat(MANY), "}".repeat(MANY)).into_bytes(),
        ),
        ("fifty thousand keys", format!("{{{}}}", keys.join(",")).into_bytes()),
        (
            "a number as long as a book",
            format!("{{\"a\":{}}}", "9".repeat(MANY)).into_bytes(),
        ),
        (
            "an exponent as long",
            format!("{{\"a\":1e{}}}", "9".repeat(MANY)).into_bytes(),
        ),
        ("UTF-16", "{\0}\0".as_bytes().to_vec()),
        ("a mark of the order of bytes", "\u{feff}{}".as_bytes().to_vec()),
        ("no UTF-8", b"{\"a\":\"\xff\xfe\xc0\x80\"}".to_vec()),
        ("an overlong slash", b"{\"a\":\"\xc0\xaf\"}".to_vec()),
        ("a surrogate in UTF-8", b"{\"a\":\"\xed\xa0\x80\"}".to_vec()),
        ("a key that is half a character", br#"{"\ud800":1}"#.to_vec()),
        ("zeros", vec![0; 64]),
        ("two", b"{}{}".to_vec()),
        ("a comma too many", b"{\"a\":1,}".to_vec()),
        ("a comment", b"{/**/}".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a string", b"\"{}\"".to_vec()),
        ("a number", b"1".to_vec()),
        ("null", b"null".to_vec()),
    ]
}

/// The names and schemas of the fields that a body may have, of all its forms.
fn properties(document: &Value, schema: &Value) -> Map<String, Value> {
    let schema = resolve(document, schema);
    let mut found = schema["properties"].as_object().cloned().unwrap_or_default();
    for part in ["allOf", "anyOf", "oneOf"] {
        for schema in schema[part].as_array().into_iter().flatten() {
            found.extend(properties(document, schema));
        }
    }
    found
}

/// Where the field that is tried stands in a body.
const HOLE: &str = "@@the field that is tried@@";

/// Bodies with a hole in each of their fields, and without each of them.
fn holes(document: &Value, schema: &Value, whole: &Map<String, Value>) -> (Vec<(String, Value)>, Vec<Value>) {
    let mut holes = Vec::new();
    for field in properties(document, schema).keys() {
        let mut body = whole.clone();
        body.insert(field.clone(), json!(HOLE));
        holes.push((field.clone(), Value::Object(body)));
    }
    let mut inner = Vec::new();
    for (field, value) in whole {
        dig(value, &mut |dug| {
            let mut body = whole.clone();
            body.insert(field.clone(), dug);
            inner.push((format!("in {field}"), Value::Object(body)));
        });
    }
    holes.extend(inner);
    let without = whole.keys().map(|field| {
        let mut body = whole.clone();
        body.remove(field);
        Value::Object(body)
    });
    (holes, without.collect())
}

/// The same value with a hole in the place of each thing within it.
fn dig(value: &Value, visit: &mut dyn FnMut(Value)) {
    match value {
        Value::Array(items) => {
            for at in 0..items.len() {
                let mut put = |new| {
                    let mut items = items.clone();
                    items[at] = new;
                    visit(Value::Array(items));
                };
                put(json!(HOLE));
                dig(&items[at], &mut put);
            }
        }
        Value::Object(fields) => {
            for name in fields.keys() {
                let mut put = |new| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), new);
                    visit(Value::Object(fields));
                };
                put(json!(HOLE));
                dig(&fields[name], &mut put);
            }
        }
        _ => {}
    }
}

/// The address of a model's server where there is none: nothing that is tried here leaves the machine.
const NOBODY: &str = "http://127.0.0.1:9/v1";

/// What a route takes as JSON, and the schema of it.
fn json_body<'d>(
    document: &'d Value,
    route: &RouteFacts,
    request: &Request,
) -> Option<(&'d Value, Map<String, Value>)> {
    let (kind, fields) = request.body.as_ref()?;
    let path = route.path.replace("...}", "}");
    let operation = &document["paths"][&path][route.method.to_lowercase()];
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let mut whole: Map<String, Value> = fields.iter().cloned().collect();
    if path.starts_with("/admin/providers") {
        whole.insert("base_url".to_owned(), json!(NOBODY));
    }
    if path == "/v1/chat/completions" {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
        whole.insert("messages".to_owned(), json!([{"role": "user", "content": parts}]));
        whole.insert("model".to_owned(), json!("echo"));
    }
    (kind == "application/json").then_some((schema, whole))
}

/// Sends a text as JSON; the answer is none that an honest mistake of the server's would give.
#[track_caller]
fn check(call: &Call, body: &[u8], what: &str) -> Reply {
    let reply = call
        .clone()
        .header("Content-Type", "application/json")
        .body(body)
        .send();
    let shown = String::from_utf8_lossy(&body[..body.len().min(300)]);
    let at = format!("{what} {shown}: {} {:.300}", reply.status, reply.text());
    assert!(reply.status < 500 || is_answer(&reply), "{at}");
    assert!(
        !reply.text().contains("panicked") && !reply.text().contains("SQL"),
        "{at}"
    );
    reply
}

/// A model's server that is not there is a 503, in a sentence.
fn is_answer(reply: &Reply) -> bool {
    reply.status == 503 && !reply.detail().is_empty()
}

/// Each route with its requests, sent by somebody who may; a new owner each time, since what is strange may well be
/// accepted and end them.
fn each_request(
    server: &Server,
    is_wanted: impl Fn(&RouteFacts) -> bool,
    visit: &mut dyn FnMut(&Value, &RouteFacts, &Request, &Call),
) {
    let document = server.get("/openapi.json").send().json();
    let admin = server.account("admin");
    let subject = server.account("subject");
    let of_subject = Estate::new(server, &subject);
    let (admins, others): (Vec<_>, Vec<_>) = api::routes()
        .filter(|route| is_wanted(route) && route.path != "/admin/pace")
        .partition(|route| route.auth == Auth::Admin);
    for (number, route) in others.iter().enumerate() {
        let owner = server.account(&format!("owner-{number}"));
        let estate = Estate::new(server, &owner).ready_for(route);
        for request in requests(&document, route, &estate) {
            let call = server.call(route.method, &request.target).bearer(&server.login(&owner));
            visit(&document, route, &request, &call);
        }
    }
    // The rules for all are changed last.
    for route in &admins {
        for request in requests(&document, route, &of_subject) {
            let call = server.call(route.method, &request.target).bearer(&server.login(&admin));
            visit(&document, route, &request, &call);
        }
    }
}

fn takes_json(route: &RouteFacts) -> bool {
    matches!(route.method, "POST" | "PUT" | "PATCH")
}

#[test]
fn no_field_of_any_body_breaks_the_server() {
    let server = Server::start();
    let values = if slow() {
        [STRANGE, STRANGER].concat()
    } else {
        STRANGE.to_vec()
    };
    let (mut bodies, mut fields, mut sent) = (0, 0, 0);
    each_request(&server, takes_json, &mut |document, route, request, call| {
        let Some((schema, whole)) = json_body(document, route, request) else {
            return;
        };
        bodies += 1;
        let (holes, without) = holes(document, schema, &whole);
        for body in &without {
            check(call, body.to_string().as_bytes(), &format!("{} without", name(route)));
        }
        for (field, body) in &holes {
            fields += 1;
            for value in &values {
                let body = body.to_string().replace(&format!("{HOLE:?}"), value);
                let what = format!("{} {field}", name(route));
                let reply = check(call, body.as_bytes(), &what);
                sent += 1;
                check_kept(&reply, field, value, &what);
            }
            // Twice: the first or the last counts, or neither.
            let body = body
                .to_string()
                .replace(&format!("{HOLE:?}"), &format!("\"a\",{field:?}:[]"));
            check(call, body.as_bytes(), &name(route));
        }
    });
    println!("{bodies} bodies, {fields} fields, {sent} values");
    assert!(
        bodies > 30 && fields > 100,
        "only {bodies} bodies and {fields} fields were tried"
    );
    check_log(server);
}

/// What was taken is what was sent: text as it was, but for space around it and letters that an address writes small.
#[track_caller]
fn check_kept(reply: &Reply, field: &str, value: &str, what: &str) {
    let Ok(Value::String(sent)) = serde_json::from_str(value) else {
        return;
    };
    if !(200..300).contains(&reply.status) || !reply.header("Content-Type").is_some_and(|kind| kind.contains("json")) {
        return;
    }
    // Nothing asks for what there is anyway; and the answer may be the echo's, which repeats it.
    if let (Value::String(kept), false) = (&reply.json()[field], sent.trim().is_empty()) {
        let kept = kept.strip_prefix("Echo: ").unwrap_or(kept);
        assert_eq!(kept.trim(), sent.trim(), "{what}: {value}");
    }
}

#[test]
fn no_body_breaks_the_server() {
    let server = Server::start();
    let before = server.rss_kib();
    let bombs = bombs();
    let mut count = 0;
    each_request(&server, takes_json, &mut |document, route, request, call| {
        if json_body(document, route, request).is_none() {
            return;
        }
        for (what, body) in &bombs {
            let reply = check(call, body, &format!("{}: {what}", name(route)));
            let is_json = serde_json::from_slice::<Value>(body).is_ok();
            assert!(
                is_json || body.is_empty() || (400..500).contains(&reply.status),
                "{}: {what}: {}",
                name(route),
                reply.status
            );
            count += 1;
        }
    });
    assert!(count > 30 * bombs.len(), "only {count} bodies were sent");
    let after = server.rss_kib();
    println!("{count} bodies; resident memory went from {before} to {after} KiB");
    assert!(
        after < before + 128 * 1024,
        "resident memory went from {before} to {after} KiB"
    );
    check_log(server);
}

/// In the place of a parameter, as they stand in an address.
const ADDRESSED: &[&str] = &[
    "",
    "-1",
    "0",
    "1e3",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999999",
    "%00",
    "%0d%0aX-Injected:%20yes",
    "%ff%fe",
    "%F0%9F%94%A5",
    "%d9%a3",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%5c%2e%2e%5cboot.ini",
    "....%2f%2f",
    "%",
    "%zz",
    "'%20OR%201=1;--",
    "%22%20*%20NEAR(%22",
    "null",
    "0x10",
    "%201",
    "1%202",
    "2999-13-45T99:99:99Z",
    "00000000-0000-0000-0000-000000000000",
    "<script>",
    "a,b,c",
];

#[test]
fn no_parameter_breaks_the_server() {
    let server = Server::start();
    let long = "a".repeat(6000);
    let secret = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let secret = secret.lines().next().unwrap_or("root:x:0:0").to_owned();
    let mut count = 0;
    each_request(
        &server,
        |route| route.method == "GET",
        &mut |document, route, request, call| {
            let path = route.path.replace("...}", "}");
            let operation = &document["paths"][&path][route.method.to_lowercase()];
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let parameter_name = text(&parameter["name"]);
                for value in ADDRESSED.iter().copied().chain([long.as_str()]) {
                    let target = if parameter["in"] == "path" {
                        aim(&path, &request.target, &parameter_name, value)
                    } else {
                        let separator = if request.target.contains('?') { '&' } else { '?' };
                        let name = percent(&parameter_name);
                        format!("{}{separator}{name}={value}&{name}={value}", request.target)
                    };
                    let reply = call.at(&target).send();
                    let at = format!(
                        "{} {:.200}: {} {:.300}",
                        route.method,
                        target,
                        reply.status,
                        reply.text()
                    );
                    assert!(reply.status < 500, "{at}");
                    assert!(
                        !reply.text().contains(&secret) && reply.header("X-Injected").is_none(),
                        "{at}"
                    );
                    count += 1;
                }
            }
        },
    );
    println!("{count} addresses");
    assert!(count > 1000, "only {count} addresses were tried");
    check_log(server);
}

/// The target with another value for one parameter of its path.
fn aim(path: &str, target: &str, parameter: &str, value: &str) -> String {
    let parts = path
        .split('/')
        .zip(target.split('?').next().unwrap_or_default().split('/'));
    let parts = parts.map(|(template, part)| {
        let is_it = template == format!("{{{parameter}}}");
        if is_it { value } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Nothing went wrong that the clients were not told of.
fn check_log(server: Server) {
    server.check_alive();
    let exit = server.stop();
    for word in ["panicked", "ERROR", "error: "] {
        assert!(!exit.stderr.contains(word), "{}", exit.stderr);
    }
}
