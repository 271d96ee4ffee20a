//! The API about itself: the document, the pages that show it and their files.

use crate::rig::{Reply, Server};

const PAGES: [&str; 4] = ["/docs", "/docs/", "/redoc", "/redoc/"];

#[test]
fn the_document_is_openapi_3_1() {
    let server = Server::start();
    for path in ["/openapi.json", "/openapi.json/"] {
        let reply = server.get(path).send();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("Content-Type"), Some("application/json"));
        let document = reply.json();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
        assert_eq!(
            document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]["tokenUrl"],
            "/auth/token"
        );
        assert!(document["paths"]["/chats"]["post"].is_object());
        assert!(document.get("data").is_none());
    }
    let head = server.call("HEAD", "/openapi.json").send();
    assert_eq!(head.status, 200);
    assert!(head.header("Content-Length").unwrap().parse::<u64>().unwrap() > 10_000);
}

/// With its tag it is not sent again, with another it is.
#[track_caller]
fn check_tag(server: &Server, path: &str) {
    let reply = server.get(path).send();
    let tag = reply.header("ETag").expect("an ETag").to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
        let reply = server.get(path).header("If-None-Match", &known).send();
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{path} {known}");
        assert_eq!(reply.header("ETag"), Some(tag.as_str()));
    }
    let other = server.get(path).header("If-None-Match", "\"x\"").send();
    assert_eq!((other.status, other.body), (200, reply.body), "{path}");
}

/// Compressed, for those who say that they take it so.
fn gzip(server: &Server, path: &str, accepted: &str) -> Reply {
    server.get(path).header("Accept-Encoding", accepted).send()
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let server = Server::start();
    for path in ["/openapi.json", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"] {
        check_tag(&server, path);
    }
}

#[test]
fn files_come_compressed_to_those_who_take_it_so() {
    let server = Server::start();
    for path in ["/openapi.json", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"] {
        let plain = server.get(path).send();
        assert_eq!(plain.header("Content-Encoding"), None);
        for accepted in ["gzip", "br, gzip;q=0.5", "*"] {
            let packed = gzip(&server, path, accepted);
            assert_eq!(packed.header("Content-Encoding"), Some("gzip"), "{path} {accepted}");
            assert!(packed.body.len() * 3 < plain.body.len(), "{path}");
            assert_eq!(packed.body[..2], [0x1f, 0x8b]);
            // The length at the end of a gzip file is that of what it holds.
            let end = packed.body.len() - 4;
            let length = u32::from_le_bytes(packed.body[end..].try_into().unwrap());
            assert_eq!(length as usize, plain.body.len());
            assert!(packed.header("Vary").unwrap().contains("Accept-Encoding"));
        }
        for accepted in ["identity", "gzip;q=0", "br"] {
            assert_eq!(gzip(&server, path, accepted).body, plain.body, "{path} {accepted}");
        }
    }
}

#[test]
fn there_are_no_other_files() {
    let server = Server::start();
    for name in [
        "swagger-ui.js",
        "index.html",
        "package.json",
        "..%2f..%2fCargo.toml",
        "%2e%2e",
        "swagger-ui-bundle.js%00",
        "SWAGGER-UI.CSS",
    ] {
        let reply = server.get(&format!("/docs/{name}")).send();
        assert_eq!((reply.status, reply.detail().as_str()), (404, "Not Found"), "{name}");
    }
    assert_eq!(server.post("/docs").send().status, 405);
}

/// Every address in a page, as a browser would ask for it.
fn addresses(page: &str, at: &str) -> Vec<String> {
    let folder = at.rsplit_once('/').expect("a path").0;
    let parts = page.split('"');
    let parts = parts.filter(|part| part.starts_with("./") || part.starts_with("../"));
    parts
        .map(|part| match part.strip_prefix("../") {
            Some(rest) => format!("{}/{rest}", folder.rsplit_once('/').expect("a folder").0),
            None => format!("{folder}/{}", part.trim_start_matches("./")),
        })
        .collect()
}

#[test]
fn pages_find_their_files_and_hold_no_program() {
    let server = Server::start();
    for path in PAGES {
        let reply = server.get(path).header("Accept", "text/html").send();
        let page = reply.text();
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.header("Content-Type").unwrap().starts_with("text/html"));
        let policy = reply.header("Content-Security-Policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(
            !page.contains("{{") && !page.contains("//") && !page.contains("<style"),
            "{page}"
        );
        assert!(page.split("<script").skip(1).all(|tag| tag.contains(" src=")), "{page}");
        let addresses = addresses(&page, path);
        assert!(addresses.len() > 3, "{addresses:?}");
        for address in &addresses {
            assert_eq!(server.get(address).send().status, 200, "{path}: {address}");
        }
    }
}

#[test]
fn pages_are_found_at_their_own_addresses_alone() {
    let server = Server::start();
    let page = server.get("/redoc").send().text();
    let folder = page.split("./assets/").nth(1).unwrap().split('/').next().unwrap();
    assert_eq!(server.get(&format!("/assets/{folder}/redoc.js")).send().status, 200);
    for name in ["redoc.html", "docs.html", "index.html"] {
        assert_eq!(server.get(&format!("/assets/{folder}/{name}")).send().status, 404);
    }
}
