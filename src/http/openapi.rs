//! The OpenAPI 3.1 document, one more reading of the tables of routes: parameters and bodies come from what handlers
//! take, answers from what they return, errors from a route's facts. What all routes are about, the caller says.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::answer::Outcome;
use super::decode::{BodyKind, Endpoint, FILE_FIELD, FileField, Spec};
use super::reply::status;
use super::router::{Auth, Family, Route};
use crate::error::Kind;
use crate::limits::FILES_MAX;

/// Where schemas that have a name are kept.
const SCHEMAS: &str = "/components/schemas";

/// The two ways to write a form.
const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// The security scheme of routes for users.
const SCHEME: &str = "OAuth2PasswordBearer";

/// What the document says about the whole.
#[derive(Debug)]
pub struct Info {
    /// The program's name.
    pub title: &'static str,
    /// Its version.
    pub version: &'static str,
    /// A few sentences in Markdown.
    pub description: &'static str,
    /// Where a form with user name and password is exchanged for a token.
    pub token_url: &'static str,
}

/// The document of these tables.
pub fn document<C>(info: &Info, families: &[Family<C>]) -> Value {
    let mut writer = Writer::new();
    let mut paths = Map::new();
    for family in families {
        for route in family.routes {
            let operation = writer.operation(route, route.path, family.name);
            let item = paths.entry(plain_path(route.path)).or_insert_with(|| json!({}));
            item[method_key(route)] = operation;
        }
    }
    // Where both slash forms stand in the document, a method that only one of them has is served at the other too.
    for family in families {
        for route in family.routes {
            let twin = other_slash(route.path);
            let item = paths.get_mut(&plain_path(&twin)).and_then(Value::as_object_mut);
            if let Some(item) = item.filter(|item| !item.contains_key(&method_key(route))) {
                item.insert(method_key(route), writer.operation(route, &twin, family.name));
            }
        }
    }
    let tags = families
        .iter()
        .map(|family| json!({ "name": family.name, "description": family.about }));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": info.title, "version": info.version, "description": info.description },
        "tags": tags.collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": {},
            "responses": responses(),
            "securitySchemes": { SCHEME: {
                "type": "oauth2",
                "flows": { "password": { "tokenUrl": info.token_url, "scopes": {} } },
            } },
        },
    });
    writer.place_schemas(&mut document);
    document
}

fn method_key<C>(route: &Route<C>) -> String {
    route.method.as_str().to_ascii_lowercase()
}

/// The same path with a slash at its end, or without it.
fn other_slash(path: &str) -> String {
    match path.strip_suffix('/') {
        Some(path) => path.to_owned(),
        None => format!("{path}/"),
    }
}

/// A path as the document writes it: the rest of a path is one parameter like any other.
fn plain_path(path: &str) -> String {
    path.replace("...}", "}")
}

/// The names in a path's braces.
fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(name.trim_end_matches('.'))
    })
}

/// Unique because (method, path) is: `get_chats_chat_id_messages`. Where a slash at the end makes another route of a
/// path, it makes another name too.
fn operation_id<C>(route: &Route<C>, path: &str) -> String {
    let words = path.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let words = words.filter(|word| !word.is_empty());
    let mut id = words.fold(method_key(route), |id, word| format!("{id}_{word}"));
    if path.len() > 1 && path.ends_with('/') {
        id.push_str("_slash");
    }
    id
}

/// Collects the schemas that operations refer to.
struct Writer {
    /// Of what is read: a field with a default need not be there.
    input: SchemaGenerator,
    /// Of what is written: it is always there.
    output: SchemaGenerator,
}

impl Writer {
    fn new() -> Writer {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = SCHEMAS.into();
            settings.meta_schema = None;
        });
        Writer {
            input: settings.clone().for_deserialize().into_generator(),
            output: settings.for_serialize().into_generator(),
        }
    }

    fn operation<C>(&mut self, route: &Route<C>, path: &str, tag: &str) -> Value {
        let spec = route.endpoint.spec();
        let mut operation = json!({
            "tags": [tag],
            "summary": route.summary,
            "operationId": operation_id(route, path),
        });
        let parameters = self.parameters(path, &spec);
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        let forms = route.endpoint.for_forms().map(Endpoint::spec);
        let mut content = self.content(&spec);
        content.extend(forms.iter().flat_map(|forms| self.content(forms)));
        if !content.is_empty() {
            operation["requestBody"] = json!({ "required": !spec.may_lack_body, "content": content });
        }
        let mut responses = self.successes(&route.endpoint.outcomes());
        let kinds = std::iter::once(&spec)
            .chain(&forms)
            .flat_map(|spec| failures(route, spec));
        for kind in kinds {
            let reference = format!("#/components/responses/{}", failure(kind).0);
            let entry = responses.entry(status(kind).to_string());
            entry.or_insert_with(|| json!({ "$ref": reference }));
        }
        operation["responses"] = responses.into_iter().collect::<Map<_, _>>().into();
        if route.auth.needs_token() {
            operation["security"] = json!([{ SCHEME: [] }]);
        }
        operation
    }

    /// What a body may be, by media type.
    fn content(&mut self, spec: &Spec) -> Map<String, Value> {
        let fields = spec.body.as_ref();
        let schema = fields.map(|(_, part)| (part.schema)(&mut self.input).to_value());
        let media: &[&str] = match (fields.map(|(kind, _)| *kind), spec.files) {
            (Some(BodyKind::Json), _) => &["application/json"],
            (Some(BodyKind::Form), None) => &[URLENCODED, MULTIPART],
            (Some(BodyKind::Form), Some(_)) => &[URLENCODED],
            (None, _) => &[],
        };
        let plain = |schema: &Value| json!({ "schema": schema });
        let mut content: Map<String, Value> = media
            .iter()
            .zip(schema.iter().cycle())
            .map(|(media, schema)| ((*media).to_owned(), plain(schema)))
            .collect();
        if let Some(files) = spec.files {
            let parts = std::iter::once(files_schema(files)).chain(schema);
            let all = json!({ "allOf": parts.collect::<Vec<_>>() });
            content.insert(MULTIPART.to_owned(), plain(&all));
        }
        content
    }

    fn parameters(&mut self, path: &str, spec: &Spec) -> Vec<Value> {
        let mut described = spec
            .path
            .as_ref()
            .map(|part| (part.schema)(&mut self.input).to_value())
            .unwrap_or_default();
        let mut parameters: Vec<Value> = path_names(path)
            .map(|name| {
                // A name that the handler does not read is there all the same.
                let schema = described["properties"][name].take();
                let schema = if schema.is_null() {
                    json!({ "type": "string" })
                } else {
                    schema
                };
                parameter(name, "path", true, schema)
            })
            .collect();
        if let Some(part) = &spec.query {
            let query = (part.schema)(&mut self.input).to_value();
            for (name, schema) in query["properties"].as_object().into_iter().flatten() {
                let is_required = query["required"]
                    .as_array()
                    .is_some_and(|names| names.iter().any(|required| required == name));
                parameters.push(parameter(name, "query", is_required, without_null(schema.clone())));
            }
        }
        parameters
    }

    /// The answers when all is well, by status.
    fn successes(&mut self, outcomes: &[Outcome]) -> BTreeMap<String, Value> {
        let mut responses = BTreeMap::new();
        for outcome in outcomes {
            let response = responses
                .entry(outcome.status.to_string())
                .or_insert_with(|| json!({ "description": description(outcome.status) }));
            if let Some(media) = outcome.media {
                let schema = outcome.schema.map(|schema| schema(&mut self.output).to_value());
                let content = &mut response["content"][media];
                *content = match (content.get("schema"), schema) {
                    (Some(one), Some(other)) if *one != other => json!({ "schema": { "anyOf": [one, other] } }),
                    (_, Some(schema)) => json!({ "schema": schema }),
                    (_, None) => json!({}),
                };
            }
        }
        responses
    }

    /// Puts the schemas that have names into the document. Where a type that is read and another one that is written
    /// share a name, the one that is read is named `…Input`.
    fn place_schemas(mut self, document: &mut Value) {
        let mut schemas: BTreeMap<String, Value> = self.output.take_definitions(true).into_iter().collect();
        let mut inputs = self.input.take_definitions(true);
        let clashes: Vec<String> = inputs
            .iter()
            .filter(|(name, schema)| schemas.get(*name).is_some_and(|other| other != *schema))
            .map(|(name, _)| name.clone())
            .collect();
        for name in clashes {
            let (from, to) = (format!("#{SCHEMAS}/{name}"), format!("#{SCHEMAS}/{name}Input"));
            inputs.values_mut().for_each(|schema| rename(schema, &from, &to));
            if let Some(schema) = inputs.remove(&name) {
                inputs.insert(format!("{name}Input"), schema);
            }
            for operation in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
                for operation in operation.as_object_mut().into_iter().flat_map(Map::values_mut) {
                    if let Some(body) = operation.get_mut("requestBody") {
                        rename(body, &from, &to);
                    }
                }
            }
        }
        schemas.extend(inputs);
        schemas.extend(error_schemas());
        document["components"]["schemas"] = schemas.into_iter().collect::<Map<_, _>>().into();
    }
}

fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, from, to)),
        _ => {}
    }
}

/// The fields of a multipart form that hold files.
fn files_schema(files: FileField) -> Value {
    let file = json!({ "type": "string", "format": "binary" });
    match files {
        FileField::One => json!({ "type": "object", "required": [FILE_FIELD], "properties": { FILE_FIELD: file } }),
        FileField::Some => json!({
            "type": "object",
            "required": [FILE_FIELD],
            "properties": { FILE_FIELD: { "type": "array", "items": file, "minItems": 1, "maxItems": FILES_MAX } },
        }),
        FileField::Many => json!({
            "type": "object",
            "properties": { "files": { "type": "array", "items": file, "maxItems": FILES_MAX } },
        }),
    }
}

fn parameter(name: &str, place: &str, is_required: bool, mut schema: Value) -> Value {
    let mut parameter = json!({ "name": name, "in": place, "required": is_required });
    if let Some(description) = schema
        .as_object_mut()
        .and_then(|schema| schema.shift_remove("description"))
    {
        parameter["description"] = description;
    }
    parameter["schema"] = schema;
    parameter
}

/// In a query nothing is null: what is not meant is left out.
fn without_null(mut schema: Value) -> Value {
    let Some(fields) = schema.as_object_mut() else {
        return schema;
    };
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            fields["type"] = only.clone();
        }
    }
    if fields.get("default").is_some_and(Value::is_null) {
        fields.shift_remove("default");
    }
    schema
}

/// How a route may fail, from its facts.
fn failures<C>(route: &Route<C>, spec: &Spec) -> Vec<Kind> {
    let has_path = path_names(route.path).next().is_some();
    let has_body = spec.body.is_some() || spec.files.is_some();
    let has_input = spec.path.is_some() || spec.query.is_some() || has_body;
    // What may write is refused from other sites' pages, and needs room on the disk.
    let may_write = route.method != tiny_http::Method::Get;
    let facts = [
        (true, Kind::Internal),
        (true, Kind::Unavailable),
        (route.auth.needs_token(), Kind::Unauthenticated),
        (matches!(route.auth, Auth::Session | Auth::Admin), Kind::Forbidden),
        (spec.query.is_some() || has_body, Kind::Malformed),
        (has_body, Kind::TooLarge),
        (has_input, Kind::Invalid),
        (has_path, Kind::NotFound),
        (may_write, Kind::Forbidden),
        (may_write, Kind::StorageFull),
    ];
    let facts = facts.into_iter().filter_map(|(is_so, kind)| is_so.then_some(kind));
    facts.chain(route.errors.iter().copied()).collect()
}

/// The name of a failure's response, and a sentence about it.
fn failure(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Malformed => ("BadRequest", "The request makes no sense as it is"),
        Kind::Unauthenticated => (
            "Unauthorized",
            "Nobody is signed in, or the credentials are not accepted",
        ),
        Kind::OverBudget => ("PaymentRequired", "What the API key may spend this month is spent"),
        Kind::Forbidden => ("Forbidden", "Not allowed, or sent by another site's page"),
        Kind::NotFound => ("NotFound", "No such thing, or not the caller's"),
        Kind::Conflict => ("Conflict", "The state of the thing forbids it"),
        Kind::TooLarge => ("TooLarge", "Larger than the limit that `detail` names"),
        Kind::Invalid => ("Invalid", "The request does not fit its schema"),
        Kind::RateLimited => ("RateLimited", "Too many attempts or messages"),
        Kind::Internal => (
            "InternalError",
            "A mistake of the server's; the log knows more under `request_id`",
        ),
        Kind::Upstream => ("BadGateway", "A model's server failed"),
        Kind::Unavailable => (
            "Unavailable",
            "A model or the store is not available now; try again later",
        ),
        Kind::UpstreamTimeout => ("GatewayTimeout", "A model's server did not answer in time"),
        Kind::StorageFull => ("StorageFull", "The disk is full or read-only"),
    }
}

/// Every failure that a route may refer to.
fn responses() -> Value {
    let kinds = [
        Kind::Malformed,
        Kind::Unauthenticated,
        Kind::OverBudget,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::Conflict,
        Kind::TooLarge,
        Kind::Invalid,
        Kind::RateLimited,
        Kind::Internal,
        Kind::Upstream,
        Kind::Unavailable,
        Kind::UpstreamTimeout,
        Kind::StorageFull,
    ];
    let response = |kind: Kind| {
        let (name, sentence) = failure(kind);
        let schema = match kind {
            Kind::Invalid => "HTTPValidationError",
            Kind::Internal => "InternalError",
            _ => "Error",
        };
        let schema = json!({ "$ref": format!("#{SCHEMAS}/{schema}") });
        let mut response = json!({
            "description": sentence,
            "content": { "application/json": { "schema": schema } },
        });
        if let Some((field, about, schema)) = field(kind) {
            response["headers"] = json!({ field: { "description": about, "schema": schema } });
        }
        (name.to_owned(), response)
    };
    kinds.into_iter().map(response).collect::<Map<_, _>>().into()
}

/// The header field that comes with a failure.
fn field(kind: Kind) -> Option<(&'static str, &'static str, Value)> {
    match kind {
        Kind::Unauthenticated => {
            let about = "Which scheme is accepted";
            Some((
                "WWW-Authenticate",
                about,
                json!({ "type": "string", "const": "Bearer" }),
            ))
        }
        Kind::RateLimited | Kind::Unavailable | Kind::StorageFull => {
            let about = "Seconds until trying again makes sense";
            Some(("Retry-After", about, json!({ "type": "integer", "minimum": 0 })))
        }
        Kind::Malformed
        | Kind::OverBudget
        | Kind::Forbidden
        | Kind::NotFound
        | Kind::Conflict
        | Kind::TooLarge
        | Kind::Invalid
        | Kind::Internal
        | Kind::Upstream
        | Kind::UpstreamTimeout => None,
    }
}

/// The bodies of errors, under the names that FastAPI's clients know where it has one.
fn error_schemas() -> Vec<(String, Value)> {
    let detail = json!({ "type": "string", "description": "A sentence about what went wrong" });
    let id = json!({ "type": "string", "description": "What the log calls the request" });
    let issue = json!({
        "type": "object",
        "description": "One reason why a request does not fit its schema",
        "required": ["type", "loc", "msg", "input"],
        "properties": {
            "type": { "type": "string", "description": "The rule, such as `missing`" },
            "loc": {
                "type": "array",
                "description": "`body`, `query` or `path`, then field names and positions",
                "items": { "type": ["string", "integer"] },
            },
            "msg": { "type": "string", "description": "A sentence about it" },
            "input": { "description": "What was sent there; null if nothing was" },
            "ctx": { "type": "object", "description": "The numbers or words of the rule" },
        },
    });
    let issues = json!({ "type": "array", "items": { "$ref": format!("#{SCHEMAS}/ValidationError") } });
    let object = |properties: Value| {
        let required: Vec<String> = properties
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .cloned()
            .collect();
        json!({ "type": "object", "required": required, "properties": properties })
    };
    vec![
        ("Error".into(), object(json!({ "detail": detail }))),
        (
            "InternalError".into(),
            object(json!({ "detail": detail, "request_id": id })),
        ),
        ("HTTPValidationError".into(), object(json!({ "detail": issues }))),
        ("ValidationError".into(), issue),
    ]
}

fn description(status: u16) -> &'static str {
    match status {
        101 => "The connection speaks another protocol from here on",
        201 => "Created",
        204 => "Done",
        206 => "The part that was asked for",
        426 => "Ask for the other protocol",
        416 => "There is no such part",
        304 => "Not changed since the version that the client has",
        _ => "Success",
    }
}
