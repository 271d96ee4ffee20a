//! Routes as data: the tables of all families, read for dispatch, 404, 405 and `Allow`, authentication, validation and
//! documentation.
//!
//! Both forms of a path, with and without a slash at its end, are served, and never by a redirect (Dart and curl lose
//! the body on those). Where two routes differ by that slash alone, the slash decides.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use tiny_http::Method;

use super::decode::{BodyKind, Endpoint, FileField, Spec, Values};
use super::reply::Reply;
use super::request::Request;
use super::respond::Responder;
use super::upload::Upload;
use super::validate::json_invalid;
use super::{forms, multipart};
use crate::error::{Error, Kind};
use crate::limits::FILES_MAX;

/// Bytes of a JSON or form body, where its route does not say otherwise.
pub(super) const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// Larger bodies that are read at the same time: each is in memory as bytes and as values, and there are dozens of
/// workers.
const LARGE_BODIES_MAX: usize = 4;

/// Who may use a route. Every route says it; there is no default to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Anyone.
    Public,
    /// Anyone signed in.
    User,
    /// Anyone who has signed in as themselves: what is about the account, which a program's API key must not touch.
    Session,
    /// An administrator, signed in as themselves.
    Admin,
    /// Anyone, from this server's own pages (or no page at all): what sets or takes their session's cookie.
    Page,
}

impl Auth {
    /// Whether nobody may use it without saying who they are.
    pub fn needs_token(self) -> bool {
        match self {
            Auth::User | Auth::Session | Auth::Admin => true,
            Auth::Public | Auth::Page => false,
        }
    }
}

/// How many bytes the files may have together that a route reads and does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// So many.
    AtMost(u64),
    /// As many as a transfer may: [`Sizes`] say it.
    Transfer,
}

/// What an answer may have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The store, a disk, somebody else: a worker answers.
    Maybe,
    /// Nothing, when the request has no query: the poll thread answers, also while every worker is stuck.
    Never,
}

/// What is set for all routes that take files.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Bytes of each file that is kept.
    pub file_bytes_max: u64,
    /// Bytes of a file that is read and not kept, where the route names no limit of its own.
    pub transfer_bytes_max: u64,
}

impl Sizes {
    /// Bytes of the largest body of all.
    pub fn body_bytes_max(self) -> u64 {
        body_bytes_max(self.file_bytes_max).max(self.transfer_bytes_max.saturating_add(multipart::FORM_BYTES_MAX))
    }
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
    /// Its files are read and not kept. Without it they are kept, and each may have as many bytes as a file may.
    pub reads: Option<Reads>,
    /// Bytes of a JSON or form body.
    pub body_bytes_max: u64,
    /// What its answer may have to wait for.
    pub waits: Waits,
    /// How it may fail, beyond what every route with its method, its inputs and its `auth` may; for the documentation.
    pub errors: &'static [Kind],
}

impl<C> Route<C> {
    /// The same row, which says how else it may fail.
    #[must_use]
    pub const fn fails(mut self, errors: &'static [Kind]) -> Route<C> {
        self.errors = errors;
        self
    }

    /// The same row, whose JSON body may have so many bytes. Few that are larger than others take are read at a time.
    #[must_use]
    pub const fn takes(mut self, bytes_max: u64) -> Route<C> {
        self.body_bytes_max = bytes_max;
        self
    }

    /// The same row, whose answer waits for nothing as long as nobody asks for more with a query.
    #[must_use]
    pub const fn at_once(mut self) -> Route<C> {
        self.waits = Waits::Never;
        self
    }

    /// The same row, whose files are read and not kept, with at most so many bytes together.
    #[must_use]
    pub const fn reads(mut self, bytes_max: u64) -> Route<C> {
        self.reads = Some(Reads::AtMost(bytes_max));
        self
    }

    /// The same row, whose file is read and not kept, and may be as large as a transfer.
    #[must_use]
    pub const fn transfers(mut self) -> Route<C> {
        self.reads = Some(Reads::Transfer);
        self
    }
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
            Route {
                method: Method::$method,
                path,
                auth,
                summary,
                endpoint,
                reads: None,
                body_bytes_max: BODY_BYTES_MAX,
                waits: Waits::Maybe,
                errors: &[],
            }
        }
    )* };
}

methods!(get Get, post Post, put Put, patch Patch, delete Delete);

/// One family's table, under the name that the documentation gives it.
pub struct Family<C: 'static> {
    /// A word or two.
    pub name: &'static str,
    /// A sentence about it.
    pub about: &'static str,
    /// Its rows.
    pub routes: &'static [Route<C>],
}

/// All routes, ready for dispatch.
pub struct Router<C: 'static> {
    root: Node,
    entries: Vec<Entry<C>>,
    /// Those whose answers wait for nothing.
    at_once: Vec<&'static Route<C>>,
    sizes: Sizes,
    large_bodies: AtomicUsize,
}

/// A row of a table, and who answers it.
struct Entry<C: 'static> {
    route: &'static Route<C>,
    answers: Answers<C>,
    /// Who answers forms, where that is somebody else: on a few routes.
    forms: Option<Box<Answers<C>>>,
}

/// An endpoint and what it reads.
struct Answers<C: 'static> {
    endpoint: &'static dyn Endpoint<C>,
    /// Made for the first request, as most routes of a start are never asked for.
    spec: OnceLock<Box<Spec>>,
}

impl<C> Answers<C> {
    fn new(endpoint: &'static dyn Endpoint<C>) -> Answers<C> {
        Answers {
            spec: OnceLock::new(),
            endpoint,
        }
    }

    fn spec(&self) -> &Spec {
        self.spec.get_or_init(|| Box::new(self.endpoint.spec()))
    }
}

#[derive(Default)]
struct Node {
    /// In order.
    literals: Vec<(&'static str, Node)>,
    parameter: Option<(&'static str, Box<Node>)>,
    rest: Option<(&'static str, Vec<usize>)>,
    /// Routes that end here, by whether they are written with a slash at the end.
    plain: Vec<usize>,
    slash: Vec<usize>,
}

/// A request that has found its route.
pub struct Call<'r, C: 'static> {
    route: &'r Route<C>,
    endpoint: &'r dyn Endpoint<C>,
    spec: &'r Spec,
    path: Map<String, Value>,
    sizes: Sizes,
    large_bodies: &'r AtomicUsize,
}

impl<C> Router<C> {
    /// Reads the tables.
    pub fn new(families: &[Family<C>], sizes: Sizes) -> Router<C> {
        let mut root = Node::default();
        let mut entries = Vec::with_capacity(families.iter().map(|family| family.routes.len()).sum());
        for route in families.iter().flat_map(|family| family.routes) {
            root.add(route.path, entries.len());
            entries.push(Entry {
                route,
                answers: Answers::new(route.endpoint),
                forms: route.endpoint.for_forms().map(Answers::new).map(Box::new),
            });
        }
        Router {
            root,
            at_once: entries
                .iter()
                .map(|entry| entry.route)
                .filter(|route| route.waits == Waits::Never)
                .collect(),
            entries,
            sizes,
            large_bodies: AtomicUsize::new(0),
        }
    }

    /// Every route, in the tables' order.
    pub fn routes(&self) -> impl Iterator<Item = &'static Route<C>> + '_ {
        self.entries.iter().map(|entry| entry.route)
    }

    /// Whether the answer to a request waits for nothing. Called for every request: few routes are like this.
    pub fn answers_at_once(&self, request: &Request) -> bool {
        let mut routes = self.at_once.iter();
        request.query().is_none()
            && routes.any(|route| route.path == request.path() && route.method == *request.method())
    }

    /// The route of a request.
    ///
    /// # Errors
    /// The reply 404, or 405 with `Allow`.
    pub fn find(&self, request: &Request) -> Result<Call<'_, C>, Reply> {
        self.find_for(request, request.method())
    }

    /// The route that a request would have with another method: what a preflight asks for.
    ///
    /// # Errors
    /// As [`Router::find`].
    pub fn find_for(&self, request: &Request, method: &Method) -> Result<Call<'_, C>, Reply> {
        let not_found = || Reply::detail(404, &serde_json::json!({ "detail": "Not Found" }));
        let path = request.path().strip_prefix('/').ok_or_else(not_found)?;
        let (path, has_slash) = match path.strip_suffix('/') {
            Some(path) => (Some(path), true),
            None if path.is_empty() => (None, true),
            None => (Some(path), false),
        };
        let mut parameters = Map::new();
        let (exact, other) = self.root.find(path, has_slash, &mut parameters).ok_or_else(not_found)?;
        let wanted = match method {
            Method::Head => &Method::Get,
            method => method,
        };
        let mut candidates = exact.iter().chain(other);
        if let Some(&index) = candidates.find(|&&index| self.entries[index].route.method == *wanted) {
            let entry = &self.entries[index];
            let answers = match &entry.forms {
                Some(forms) if FormKind::of(request).is_some() => forms,
                _ => &entry.answers,
            };
            return Ok(Call {
                route: entry.route,
                endpoint: answers.endpoint,
                spec: answers.spec(),
                path: parameters,
                sizes: self.sizes,
                large_bodies: &self.large_bodies,
            });
        }
        let mut allowed: Vec<&str> = Vec::new();
        for &index in exact.iter().chain(other) {
            let method = self.entries[index].route.method.as_str();
            if !allowed.contains(&method) {
                allowed.push(method);
            }
            if method == "GET" && !allowed.contains(&"HEAD") {
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

    /// How many bytes of body the route takes of this request.
    pub fn body_bytes_max(&self, request: &Request) -> u64 {
        match (self.files(request), &self.spec.body) {
            (Some(FileField::One), _) => {
                self.read_bytes_max().unwrap_or(self.sizes.file_bytes_max) + multipart::FORM_BYTES_MAX
            }
            (Some(FileField::Many | FileField::Some), _) => match self.read_bytes_max() {
                Some(bytes_max) => bytes_max + multipart::FORM_BYTES_MAX,
                None => body_bytes_max(self.sizes.file_bytes_max),
            },
            (None, Some(_)) => self.route.body_bytes_max,
            (None, None) => 0,
        }
    }

    fn read_bytes_max(&self) -> Option<u64> {
        self.route.reads.map(|reads| match reads {
            Reads::AtMost(bytes_max) => bytes_max,
            Reads::Transfer => self.sizes.transfer_bytes_max,
        })
    }

    /// Whether this request may send files that are kept.
    pub fn keeps_files(&self, request: &Request) -> bool {
        self.route.reads.is_none() && self.files(request).is_some()
    }

    /// The files that this request may send.
    fn files(&self, request: &Request) -> Option<FileField> {
        self.spec
            .files
            .filter(|_| FormKind::of(request) == Some(FormKind::Multipart))
    }

    /// Answers: malformed JSON first, then whatever `enter` finds (nobody signed in), then a query that cannot be read
    /// and the schema, then the handler.
    pub fn answer(
        self,
        mut request: Request,
        respond: Responder,
        enter: impl FnOnce(Request, Auth) -> Result<C, Error>,
    ) {
        let _large = match LargeBody::take(self.large_bodies, &request) {
            Ok(large) => large,
            Err(error) => return respond.send_result(Err(error)),
        };
        let prepared = self.parse(&mut request).and_then(|mut values| {
            let query = self.parse_query(&request);
            let ctx = enter(request, self.route.auth)?;
            values.query = query?;
            values.check(self.spec)?;
            Ok((ctx, values))
        });
        match prepared {
            Ok((ctx, values)) => self.endpoint.answer(&ctx, values, respond),
            Err(error) => respond.send_result(Err(error)),
        }
    }

    /// The path's and the body's parts, well formed but not checked.
    fn parse(&self, request: &mut Request) -> Result<Values, Error> {
        let mut files = Vec::new();
        let body = match &self.spec.body {
            None if self.spec.files.is_none() => None,
            Some((BodyKind::Json, _)) => parse_json(&request.body(self.route.body_bytes_max)?)?,
            None | Some((BodyKind::Form, _)) => {
                let file_bytes_max = self.read_bytes_max().unwrap_or(self.sizes.file_bytes_max);
                let file_bytes_max = self.spec.files.map(|_| file_bytes_max);
                let (mut fields, uploads) = parse_form(request, file_bytes_max)?;
                files = uploads;
                // Forms have no other way to leave a field out.
                fields.retain(|_, value| value != "");
                Some(Value::Object(fields))
            }
        };
        Ok(Values {
            path: self.path.clone(),
            query: Map::new(),
            body,
            files,
        })
    }

    fn parse_query(&self, request: &Request) -> Result<Map<String, Value>, Error> {
        match (&self.spec.query, request.query()) {
            (Some(_), Some(query)) => forms::parse_pairs(query),
            _ => Ok(Map::new()),
        }
    }
}

/// A place among the large bodies that are read. Given back when dropped.
struct LargeBody<'r>(&'r AtomicUsize);

impl<'r> LargeBody<'r> {
    /// Takes one, if this request's body is that large and is not read from its file.
    fn take(taken: &'r AtomicUsize, request: &Request) -> Result<Option<LargeBody<'r>>, Error> {
        if request.body_length() <= BODY_BYTES_MAX || FormKind::of(request) == Some(FormKind::Multipart) {
            return Ok(None);
        }
        let place = LargeBody(taken);
        if taken.fetch_add(1, Ordering::Relaxed) < LARGE_BODIES_MAX {
            return Ok(Some(place));
        }
        let message = "Too many large requests are being read; try again";
        Err(Error::new(Kind::Unavailable, message).retry_after(1))
    }
}

impl Drop for LargeBody<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn parse_json(bytes: &[u8]) -> Result<Option<Value>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    // `null` is no body either.
    serde_json::from_slice(bytes).map_err(|error| Error::invalid(vec![json_invalid(bytes, &error)]))
}

/// The two ways to write a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FormKind {
    Urlencoded,
    Multipart,
}

impl FormKind {
    /// How this request's body is written, if it is a form.
    fn of(request: &Request) -> Option<FormKind> {
        let media_type = request.header("Content-Type")?.split(';').next()?.trim();
        if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(FormKind::Urlencoded)
        } else if media_type.eq_ignore_ascii_case("multipart/form-data") {
            Some(FormKind::Multipart)
        } else {
            None
        }
    }
}

/// The fields and files of a form. Another content type holds none, which validation then misses.
fn parse_form(request: &mut Request, file_bytes_max: Option<u64>) -> Result<(Map<String, Value>, Vec<Upload>), Error> {
    match FormKind::of(request) {
        None => Ok((Map::new(), Vec::new())),
        Some(FormKind::Urlencoded) => {
            let body = request.body(BODY_BYTES_MAX)?;
            let text = std::str::from_utf8(&body)
                .map_err(|error| Error::new(Kind::Malformed, "The form is not UTF-8").caused_by(error))?;
            Ok((forms::parse_pairs(text)?, Vec::new()))
        }
        Some(FormKind::Multipart) => {
            let boundary = multipart::boundary(request.header("Content-Type").unwrap_or(""))
                .ok_or_else(|| Error::new(Kind::Malformed, "The multipart body has no valid boundary"))?;
            let source = Arc::new(request.take_body());
            let form = multipart::parse(source.reader(), &boundary, file_bytes_max)?;
            let uploads = form.files.into_iter();
            let uploads = uploads.map(|(head, place)| Upload::new(head, place, &source));
            Ok((form.fields, uploads.collect()))
        }
    }
}

/// Bytes of the largest body that a route may take, where a file may have so many.
pub fn body_bytes_max(file_bytes_max: u64) -> u64 {
    file_bytes_max.saturating_mul(FILES_MAX as u64) + multipart::FORM_BYTES_MAX
}

impl Node {
    /// Where a literal stands, or would.
    fn place_of(&self, segment: &str) -> Result<usize, usize> {
        self.literals.binary_search_by_key(&segment, |(literal, _)| literal)
    }

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
                None => {
                    let at = node.place_of(segment).unwrap_or_else(|at| {
                        node.literals.insert(at, (segment, Node::default()));
                        at
                    });
                    &mut node.literals[at].1
                }
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
        if let Ok(at) = self.place_of(&decoded)
            && let Some(found) = self.literals[at].1.find(rest, has_slash, parameters)
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
