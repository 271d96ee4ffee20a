//! What only a server can say: who may administer it, whether its providers answer, and whether people reach it.

use std::time::Instant;

use serde_json::Value;

use super::super::reach::Reach;
use super::{Finding, Findings, proxy};
use crate::cli::{Door, Settings};
use crate::error::Kind;

/// What only a server can say: the one that runs, or this process as one.
pub(super) fn ask_server(settings: &Settings, public_url: Option<&str>, findings: &mut Findings) {
    let opened = Reach::open(settings, &Door::default()).and_then(|mut reach| {
        let me = reach.sign_in(None)?;
        reach.find_models()?;
        Ok((me["role"] == "admin", reach))
    });
    let reach = match opened {
        Ok((true, reach)) => reach,
        Ok((false, _)) => {
            let advice = "make one with fireside user add EMAIL --admin";
            return findings.add(Finding::warn("accounts", "there is no administrator", advice));
        }
        Err(failed) if matches!(failed.error.kind(), Kind::NotFound | Kind::Conflict) => {
            let advice = "or open the server in a browser, which makes the first one";
            return findings.add(Finding::warn("accounts", failed.error, advice));
        }
        Err(failed) => {
            let advice = "see its log, and try again once it has started";
            return findings.add(Finding::fail("server", failed.error, advice));
        }
    };
    for finding in providers(&reach) {
        findings.add(finding);
    }
    if reach.is_own() && public_url.is_some() {
        let advice = "start the server, and run this again";
        findings.add(Finding::fail(
            "public address",
            "no server runs on the data folder",
            advice,
        ));
    } else if let Some(url) = public_url {
        proxy::check(&reach, url, findings);
    }
}

/// Each provider is asked for its models, as the server itself does it.
fn providers(reach: &Reach) -> Vec<Finding> {
    let listed = match reach.client().call("GET", "/admin/providers") {
        Ok(listed) => listed,
        Err(failed) => return vec![Finding::fail("providers", failed.error, "see the server's log")],
    };
    let listed = listed.as_array().into_iter().flatten();
    let asked = listed.filter(|provider| provider["is_enabled"] == true);
    let found: Vec<Finding> = asked.map(|provider| ask_provider(reach, provider)).collect();
    if found.is_empty() {
        let advice = "set a key or an address, such as OPENAI_API_KEY, or start Ollama";
        return vec![Finding::warn("providers", "none; only echo and library answer", advice)];
    }
    found
}

fn ask_provider(reach: &Reach, provider: &Value) -> Finding {
    let text = |name: &str| provider[name].as_str().unwrap_or_default().to_owned();
    let what = format!("provider {}", text("name"));
    let since = Instant::now();
    let tested = reach
        .client()
        .call("POST", &format!("/admin/providers/{}/test", text("name")));
    let took_ms = since.elapsed().as_millis();
    match tested {
        Ok(tested) if tested["state"] == "up" => {
            let count = tested["models"].as_array().map_or(0, Vec::len);
            Finding::ok(
                &what,
                format!("{count} models in {took_ms} ms from {}", text("base_url")),
            )
        }
        Ok(tested) => {
            let reason = tested["reason"].as_str().unwrap_or("it does not answer");
            let says = format!("{} is down: {reason}", text("base_url"));
            Finding::fail(&what, says, "check its address and key, and whether it runs")
        }
        Err(failed) => Finding::fail(&what, failed.error, "see the server's log"),
    }
}
