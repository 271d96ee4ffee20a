//! Routes as data: the tables of all families, read for dispatch, 404, 405 and `Allow`, authentication and validation.
//!
//! Both forms of a path, with and without a slash at its end, are served, and never by a redirect (Dart and curl lose
//! the body on those). Where two routes differ by that slash alone, the slash decides.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tiny_http::Method;

use super::decode::{BodyKind, Endpoint, Spec, Values};
use super::reply::Reply;
use super::request::Request;
use super::respond::Responder;
use super::validate::json_invalid;
use super::{forms, multipart};
use crate::error::{Error, Kind};

/// Bytes of a JSON or form body.
pub(super) const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// Who may use a route. Every route says it; there is no default to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Anyone.
    Public,
    /// Anyone signed in.
    User,
}

/// One row of a family's table.
pub struct Route<C: 'static> {
    /// The method. A GET answers HEAD too.
    pub method: Method,
    /// The path; `{name}` stands for one segment, `{name...}` at the end for all that follow.
    pub path: &'static str,
    /// Who may use it.
    pub auth: Auth,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Doing it.
    pub endpoint: &'static dyn Endpoint<C>,
}

macro_rules! methods {
    ($($name:ident $method:ident),*) => { $(
        /// A row for this method.
        pub const fn $name<C>(
            path: &'static str,
            auth: Auth,
            summary: &'static str,
            endpoint: &'static dyn Endpoint<C>,
        ) -> Route<C> {
            Route { method: Method::$method, path, auth, summary, endpoint }
        }
    )* };
}

methods!(get Get, post Post, put Put, patch Patch, delete Delete);

/// All routes, ready for dispatch.
pub struct Router<C: 'static> {
    root: Node,
    entries: Vec<(&'static Route<C>, Spec)>,
}

#[derive(Default)]
struct Node {
    literals: BTreeMap<&'static str, Node>,
    parameter: Option<(&'static str, Box<Node>)>,
    rest: Option<(&'static str, Vec<usize>)>,
    /// Routes that end here, by whether they are written with a slash at the end.
    plain: Vec<usize>,
    slash: Vec<usize>,
}

/// A request that has found its route.
pub struct Call<'r, C: 'static> {
    route: &'r Route<C>,
    spec: &'r Spec,
    path: Map<String, Value>,
}

impl<C> Router<C> {
    /// Reads the tables.
    pub fn new(tables: &[&'static [Route<C>]]) -> Router<C> {
        let mut root = Node::default();
        let mut entries = Vec::new();
        for route in tables.iter().copied().flatten() {
            root.add(route.path, entries.len());
            entries.push((route, route.endpoint.spec()));
        }
        Router { root, entries }
    }

    /// Every route, in the tables' order.
    pub fn routes(&self) -> impl Iterator<Item = &'static Route<C>> + '_ {
        self.entries.iter().map(|(route, _)| *route)
    }

    /// The route of a request.
    ///
    /// # Errors
    /// The reply 404, or 405 with `Allow`.
    pub fn find(&self, request: &Request) -> Result<Call<'_, C>, Reply> {
        let not_found = || Reply::detail(404, &serde_json::json!({ "detail": "Not Found" }));
        let path = request.path().strip_prefix('/').ok_or_else(not_found)?;
        let (path, has_slash) = match path.strip_suffix('/') {
            Some(path) => (Some(path), true),
            None if path.is_empty() => (None, true),
            None => (Some(path), false),
        };
        let mut parameters = Map::new();
        let (exact, other) = self.root.find(path, has_slash, &mut parameters).ok_or_else(not_found)?;
        let wanted = match request.method() {
            Method::Head => &Method::Get,
            method => method,
        };
        let mut candidates = exact.iter().chain(other);
        if let Some(&index) = candidates.find(|&&index| self.entries[index].0.method == *wanted) {
            let (route, spec) = &self.entries[index];
            return Ok(Call {
                route,
                spec,
                path: parameters,
            });
        }
        let mut allowed: Vec<&str> = Vec::new();
        for &index in exact.iter().chain(other) {
            let method = self.entries[index].0.method.as_str();
            if !allowed.contains(&method) {
                allowed.push(method);
            }
            if method == "GET" {
                allowed.push("HEAD");
            }
        }
        let reply = Reply::detail(405, &serde_json::json!({ "detail": "Method Not Allowed" }));
        Err(reply.header("Allow", &allowed.join(", ")))
    }
}

impl<C> Call<'_, C> {
    /// Who may use the route.
    pub fn auth(&self) -> Auth {
        self.route.auth
    }

    /// How many bytes of body the route takes.
    pub fn body_bytes_max(&self) -> u64 {
        if self.spec.body.is_some() { BODY_BYTES_MAX } else { 0 }
    }

    /// Answers: malformed JSON first, then whatever `enter` finds (nobody signed in), then a query that cannot be read
    /// and the schema, then the handler.
    pub fn answer(
        self,
        mut request: Request,
        respond: Responder,
        enter: impl FnOnce(Request, Auth) -> Result<C, Error>,
    ) {
        let prepared = self.parse(&mut request).and_then(|mut values| {
            let query = self.parse_query(&request);
            let ctx = enter(request, self.route.auth)?;
            values.query = query?;
            values.check(self.spec)?;
            Ok((ctx, values))
        });
        match prepared {
            Ok((ctx, values)) => self.route.endpoint.answer(&ctx, values, respond),
            Err(error) => respond.send_result(Err(error)),
        }
    }

    /// The path's and the body's parts, well formed but not checked.
    fn parse(&self, request: &mut Request) -> Result<Values, Error> {
        let body = match &self.spec.body {
            None => None,
            Some((BodyKind::Json, _)) => parse_json(&request.body(BODY_BYTES_MAX)?)?,
            Some((BodyKind::Form, _)) => Some(parse_form(request)?),
        };
        Ok(Values {
            path: self.path.clone(),
            query: Map::new(),
            body,
        })
    }

    fn parse_query(&self, request: &Request) -> Result<Map<String, Value>, Error> {
        match (&self.spec.query, request.query()) {
            (Some(_), Some(query)) => forms::parse_query(query),
            _ => Ok(Map::new()),
        }
    }
}

fn parse_json(bytes: &[u8]) -> Result<Option<Value>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(bytes)
        .map(Some)
        .map_err(|error| Error::invalid(vec![json_invalid(bytes, &error)]))
}

/// A form in either encoding. Another content type holds no form fields, which validation then misses.
fn parse_form(request: &mut Request) -> Result<Value, Error> {
    let content_type = request.header("Content-Type").unwrap_or("").to_owned();
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let body = request.body(BODY_BYTES_MAX)?;
        let text = std::str::from_utf8(&body)
            .map_err(|error| Error::new(Kind::Malformed, "The form is not UTF-8").caused_by(error))?;
        return forms::parse_pairs(text).map(Value::Object);
    }
    if media_type.eq_ignore_ascii_case("multipart/form-data") {
        let boundary = multipart::boundary(&content_type)
            .ok_or_else(|| Error::new(Kind::Malformed, "The multipart body has no valid boundary"))?;
        return multipart::parse_fields(request.body_reader()?, &boundary).map(Value::Object);
    }
    Ok(Value::Object(Map::new()))
}

impl Node {
    fn add(&mut self, path: &'static str, index: usize) {
        let trimmed = path.trim_start_matches('/');
        let (trimmed, has_slash) = match trimmed.strip_suffix('/') {
            Some(trimmed) => (trimmed, true),
            None => (trimmed, trimmed.is_empty()),
        };
        let mut node = self;
        for segment in trimmed.split('/').filter(|segment| !segment.is_empty()) {
            let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            node = match name {
                Some(name) if name.ends_with("...") => {
                    let rest = node
                        .rest
                        .get_or_insert_with(|| (name.trim_end_matches('.'), Vec::new()));
                    rest.1.push(index);
                    return;
                }
                Some(name) => &mut node.parameter.get_or_insert_with(|| (name, Box::default())).1,
                None => node.literals.entry(segment).or_default(),
            };
        }
        if has_slash {
            node.slash.push(index)
        } else {
            node.plain.push(index)
        }
    }

    /// The routes at a path (`None`: at its end): those in its own slash form, and those in the other. An empty segment
    /// is none that a route could have, so `/chats//` is not `/chats`.
    fn find(
        &self,
        path: Option<&str>,
        has_slash: bool,
        parameters: &mut Map<String, Value>,
    ) -> Option<(&[usize], &[usize])> {
        let Some(path) = path else {
            let (exact, other) = if has_slash {
                (&self.slash, &self.plain)
            } else {
                (&self.plain, &self.slash)
            };
            if !exact.is_empty() || !other.is_empty() {
                return Some((exact, other));
            }
            return self.find_rest("", parameters);
        };
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        let decoded = forms::decode_percent(segment)?;
        if let Some(node) = self.literals.get(decoded.as_str())
            && let Some(found) = node.find(rest, has_slash, parameters)
        {
            return Some(found);
        }
        if let Some((name, node)) = self.parameter.as_ref().filter(|_| !decoded.is_empty())
            && let Some(found) = node.find(rest, has_slash, parameters)
        {
            parameters.insert((*name).to_owned(), decoded.into());
            return Some(found);
        }
        self.find_rest(path, parameters)
    }

    fn find_rest(&self, path: &str, parameters: &mut Map<String, Value>) -> Option<(&[usize], &[usize])> {
        let (name, routes) = self.rest.as_ref()?;
        parameters.insert((*name).to_owned(), forms::decode_percent(path)?.into());
        Some((routes, &[]))
    }
}
