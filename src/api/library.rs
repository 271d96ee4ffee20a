//! The library's door: the caller's documents. They have integer ids and UUIDs, and are found by either.
//!
//! Whatever way documents come in, they end in [`add`] or [`add_all`]; for files, `library::read_file` makes texts of them.

use std::borrow::Cow;
use std::io::Read as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AnyId, Ctx};
use crate::error::{Error, Issue, Kind};
use crate::http::{
    Auth, Body, ByType, Either, Json, NoContent, Path, Query, Raw, Route, SomeFiles, Typed, Upload, delete, get, post,
};
use crate::library::{self, Added, FILE_BYTES_MAX, NewText};
use crate::store::{self, Document, DocumentRef, Page};

/// Documents of one request: a slow disk takes some seconds for them.
const ADDED_MAX: usize = 1_000;

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/documents",
        Auth::User,
        "List the library's documents, newest first",
        &Json(list),
    ),
    post(
        "/documents",
        Auth::User,
        "Add a document, or a list of books, as JSON or as files",
        &ByType(&Raw(create), &Raw(create_from_files)),
    ),
    get(
        "/documents/{document_id}",
        Auth::User,
        "Get a document with its text",
        &Json(read),
    ),
    delete(
        "/documents/{document_id}",
        Auth::User,
        "Delete a document",
        &NoContent(remove),
    ),
];

/// A document object.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Document")]
struct DocumentView {
    id: i64,
    #[schemars(extend("format" = "uuid"))]
    uuid: String,
    title: String,
    author: Option<String>,
    source: Option<String>,
    size: i64,
    chunk_count: i64,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
}

fn view(document: Document) -> DocumentView {
    DocumentView {
        id: document.id,
        uuid: document.uuid,
        title: document.title,
        author: document.author,
        source: document.source,
        size: document.size,
        chunk_count: document.chunk_count,
        created_at: document.created_at,
    }
}

#[derive(Deserialize, JsonSchema)]
struct DocumentPath {
    document_id: AnyId,
}

impl DocumentPath {
    fn document(&self) -> Result<DocumentRef, Error> {
        let missing = || Error::new(Kind::NotFound, "Document not found");
        match &self.document_id {
            AnyId::Number(id) => Ok(DocumentRef::Id(*id)),
            AnyId::Text(text) => {
                let uuid = uuid::Uuid::try_parse(text).map_err(|_| missing())?;
                Ok(DocumentRef::Uuid(uuid.hyphenated().to_string()))
            }
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct ListDocuments {
    #[serde(default = "list_limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: i64,
    #[serde(default)]
    #[schemars(range(min = 0))]
    offset: i64,
}

fn list_limit() -> i64 {
    50
}

#[derive(Serialize, JsonSchema)]
struct DocumentList {
    documents: Vec<DocumentView>,
    total: i64,
}

fn list(ctx: &Ctx, Query(query): Query<ListDocuments>) -> Result<DocumentList, Error> {
    let owner = ctx.user()?.id;
    let page = Page {
        limit: query.limit,
        offset: query.offset,
    };
    let (documents, size) = ctx.app.store.read(|read| {
        let documents = store::list_documents(read, owner, page)?;
        Ok((documents, store::measure_library(read, owner)?))
    })?;
    Ok(DocumentList {
        documents: documents.into_iter().map(view).collect(),
        total: size.documents,
    })
}

/// What can be added: one document, or a list of books.
#[derive(Deserialize)]
struct NewDocuments(Value);

impl JsonSchema for NewDocuments {
    fn schema_name() -> Cow<'static, str> {
        "NewDocuments".into()
    }

    /// Checked by hand, because the two forms have nothing in common to check by.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            {
                "type": "object",
                "required": ["title", "content"],
                "properties": {
                    "title": { "type": "string", "minLength": 1, "maxLength": library::TITLE_CHARS_MAX },
                    "author": { "type": ["string", "null"], "maxLength": library::TITLE_CHARS_MAX },
                    "source": { "type": ["string", "null"], "maxLength": library::TITLE_CHARS_MAX },
                    "content": { "type": "string", "minLength": 1 }
                }
            },
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["title"],
                    "properties": {
                        "title": { "type": "string" },
                        "author": { "type": ["string", "null"] },
                        "year": { "type": ["integer", "string", "null"] },
                        "short_summary": { "type": ["string", "null"] },
                        "full_summary": { "type": ["string", "null"] },
                        "themes": { "type": ["array", "string", "null"] },
                        "genres": { "type": ["array", "string", "null"] },
                        "language": { "type": ["string", "null"] }
                    }
                }
            }
        ] })
    }
}

/// What adding several documents came to: those that are new, and those that are not, with the reason.
#[derive(Serialize, JsonSchema)]
struct DocumentsAdded {
    documents: Vec<DocumentView>,
    skipped: Vec<Skipped>,
}

#[derive(Serialize, JsonSchema)]
struct Skipped {
    title: String,
    reason: String,
}

/// What adding came to, by what was sent.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Made {
    One(DocumentView),
    Several(DocumentsAdded),
}

type Creation = Either<Typed<Made, 201>, Typed<DocumentView>>;

fn create(ctx: &Ctx, Body(NewDocuments(body)): Body<NewDocuments>) -> Result<Creation, Error> {
    let made = match body {
        Value::Array(_) => Made::Several(add_all(ctx, &books(&body)?)?),
        _ => match add(ctx, &new_text(&body)?)? {
            Added::New(document) => Made::One(view(document)),
            // Sent again after a lost answer, for instance: it is there, and nothing was made.
            Added::Known(document) => return Typed::json(&view(document)).map(Either::That),
        },
    };
    Typed::json(&made).map(Either::This)
}

/// From a form: every file is one document, or a list of books.
fn create_from_files(ctx: &Ctx, SomeFiles(files): SomeFiles) -> Result<Typed<DocumentsAdded, 201>, Error> {
    let bytes: u64 = files.iter().map(Upload::size).sum();
    if bytes > FILE_BYTES_MAX as u64 {
        let message = format!(
            "The files of one request have at most {} MiB together",
            FILE_BYTES_MAX >> 20
        );
        return Err(Error::new(Kind::TooLarge, message));
    }
    let mut texts = Vec::new();
    for file in &files {
        let mut bytes = Vec::new();
        let read = file.reader().read_to_end(&mut bytes);
        read.map_err(|error| Error::internal("an upload cannot be read", error))?;
        let found = library::read_file(&file.filename, &bytes, ADDED_MAX);
        texts.extend(found.map_err(|error| error.about(&file.filename))?);
        check_count(&texts)?;
    }
    Typed::json(&add_all(ctx, &texts)?)
}

fn add(ctx: &Ctx, text: &NewText) -> Result<Added, Error> {
    library::add(&ctx.app.store, &ctx.app.clock, ctx.user()?.id, text)
}

fn check_count(texts: &[NewText]) -> Result<(), Error> {
    if texts.len() > ADDED_MAX {
        let message = format!("One request adds at most {ADDED_MAX} documents; send them in parts");
        return Err(Error::new(Kind::TooLarge, message));
    }
    Ok(())
}

/// All or none, as far as that can be known beforehand. What fails later leaves those before it, and the answer says
/// which they are: an error alone would have all of them sent again.
fn add_all(ctx: &Ctx, texts: &[NewText]) -> Result<DocumentsAdded, Error> {
    let several = library::add_all(&ctx.app.store, &ctx.app.clock, ctx.user()?.id, texts);
    let missing = &texts[several.added.len()..];
    let mut answer = DocumentsAdded {
        documents: Vec::new(),
        skipped: Vec::new(),
    };
    for added in several.added {
        match added {
            Added::New(document) => answer.documents.push(view(document)),
            Added::Known(document) => answer.skipped.push(Skipped {
                title: document.title,
                reason: "It is in the library already".to_owned(),
            }),
        }
    }
    let Some(error) = several.ended else {
        return Ok(answer);
    };
    if answer.documents.is_empty() {
        return Err(error);
    }
    log::warn!("{} documents of a list were not added: {error}", missing.len());
    let reason = match error.kind() {
        Kind::Internal => "The server failed; send it again",
        _ => error.message(),
    };
    answer.skipped.extend(missing.iter().map(|text| Skipped {
        title: text.title.clone(),
        reason: reason.to_owned(),
    }));
    Ok(answer)
}

fn books(body: &Value) -> Result<Vec<NewText>, Error> {
    let json = serde_json::to_vec(body).map_err(|error| Error::internal("JSON cannot be written", error))?;
    let books = library::parse_books(&json, ADDED_MAX)?;
    Ok(books.into_iter().map(|book| book.into_text(None)).collect())
}

/// The one document of a body.
fn new_text(body: &Value) -> Result<NewText, Error> {
    let Some(fields) = body.as_object() else {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        let issue = issue("model_attributes_type", &[], msg, body);
        return Err(Error::invalid(vec![issue]));
    };
    let mut issues = Vec::new();
    let mut text = |name: &'static str| match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        value => {
            issues.push(match value {
                None => issue("missing", &[name], "Field required", body),
                Some(value) if value.is_string() => {
                    let msg = "String should have at least 1 character";
                    let mut issue = issue("string_too_short", &[name], msg, value);
                    issue.ctx = Some(json!({ "min_length": 1 }));
                    issue
                }
                Some(value) => issue("string_type", &[name], "Input should be a valid string", value),
            });
            String::new()
        }
    };
    let (title, content) = (text("title"), text("content"));
    let mut optional = |name| match fields.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(_) => Some(text(name)),
    };
    let (author, source) = (optional("author"), optional("source"));
    let long = [
        ("title", Some(&title)),
        ("author", author.as_ref()),
        ("source", source.as_ref()),
    ];
    for (name, value) in long {
        let most = library::TITLE_CHARS_MAX;
        if let Some(value) = value.filter(|value| value.chars().nth(most).is_some()) {
            let msg = format!("String should have at most {most} characters");
            let mut issue = issue("string_too_long", &[name], msg, &json!(value));
            issue.ctx = Some(json!({ "max_length": most }));
            issues.push(issue);
        }
    }
    if issues.is_empty() {
        Ok(NewText {
            title,
            author,
            source,
            content,
        })
    } else {
        Err(Error::invalid(issues))
    }
}

fn issue(rule: &'static str, at: &[&str], msg: impl Into<Cow<'static, str>>, input: &Value) -> Issue {
    Issue {
        rule: rule.into(),
        loc: std::iter::once("body")
            .chain(at.iter().copied())
            .map(Value::from)
            .collect(),
        msg: msg.into(),
        input: input.clone(),
        ctx: None,
    }
}

#[derive(Serialize, JsonSchema)]
struct DocumentText {
    #[serde(flatten)]
    document: DocumentView,
    content: String,
}

fn read(ctx: &Ctx, Path(path): Path<DocumentPath>) -> Result<DocumentText, Error> {
    let (owner, which) = (ctx.user()?.id, path.document()?);
    ctx.app.store.read(|read| {
        let document = store::find_document(read, owner, &which)?;
        let content = store::read_document(read, document.id)?;
        Ok(DocumentText {
            document: view(document),
            content,
        })
    })
}

fn remove(ctx: &Ctx, Path(path): Path<DocumentPath>) -> Result<(), Error> {
    library::remove(&ctx.app.store, &ctx.app.clock, ctx.user()?.id, path.document()?)
}
