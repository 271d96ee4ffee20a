//! The library's door: the caller's documents. They have integer ids and UUIDs, and are found by either.
//!
//! Whatever way documents come in, they end in [`add`] or [`add_all`]; for files, `library::read_file` makes texts of them.

use std::borrow::Cow;
use std::io::Read as _;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::paging::PageQuery;
use super::{AnyId, Ctx};
use crate::error::{Error, Issue, Kind};
use crate::http::{
    Auth, Body, ByType, Either, Json, NoContent, Path, Query, Raw, Route, SomeFiles, Typed, Upload, delete, get, post,
    read_body,
};
use crate::library::{self, Added, Book, FILE_BYTES_MAX, NewText};
use crate::store::{self, Document, Page, Ref};

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
    )
    .reads(FILE_BYTES_MAX as u64),
    get(
        "/documents/{document_id}",
        Auth::User,
        "Get a document with its text",
        &Json(read),
    ),
    get(
        "/documents/{document_id}/passages",
        Auth::User,
        "Get a document as the passages that replies quote",
        &Json(read_passages),
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
    fn document(&self) -> Result<Ref, Error> {
        let missing = || Error::new(Kind::NotFound, "Document not found");
        self.document_id.parse().ok_or_else(missing)
    }
}

#[derive(Serialize, JsonSchema)]
struct DocumentList {
    documents: Vec<DocumentView>,
    total: i64,
}

fn list(ctx: &Ctx, Query(query): Query<PageQuery>) -> Result<DocumentList, Error> {
    let owner = ctx.user()?.id;
    let page = Page::from(query);
    let (documents, size) = ctx.app.store.read(|read| {
        let documents = store::list_documents(read, owner, page)?;
        Ok((documents, store::measure_library(read, owner)?))
    })?;
    Ok(DocumentList {
        documents: documents.into_iter().map(view).collect(),
        total: size.documents,
    })
}

/// What can be added: one document, or a list of books. Which of them it is shows only in the body.
#[derive(Deserialize)]
struct NewDocuments(Value);

impl JsonSchema for NewDocuments {
    fn schema_name() -> Cow<'static, str> {
        "NewDocuments".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let forms = [
            generator.subschema_for::<NewDocument>(),
            generator.subschema_for::<Vec<Book>>(),
        ];
        json_schema!({ "anyOf": forms })
    }
}

#[derive(Deserialize, JsonSchema)]
struct NewDocument {
    #[schemars(length(min = 1, max = 300))]
    title: String,
    #[serde(default)]
    #[schemars(length(max = 300))]
    author: Option<String>,
    #[serde(default)]
    #[schemars(length(max = 300))]
    source: Option<String>,
    #[schemars(length(min = 1))]
    content: String,
}

impl From<NewDocument> for NewText {
    fn from(new: NewDocument) -> NewText {
        NewText {
            title: new.title,
            author: new.author.filter(|author| !author.is_empty()),
            source: new.source.filter(|source| !source.is_empty()),
            content: new.content,
        }
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
        Value::Array(_) => Made::Several(add_all(ctx, &books(body)?)?),
        _ => match add(ctx, &read_body::<NewDocument>(body)?.into())? {
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
        check_count(texts.len())?;
    }
    Typed::json(&add_all(ctx, &texts)?)
}

fn add(ctx: &Ctx, text: &NewText) -> Result<Added, Error> {
    library::add(&ctx.app.store, &ctx.app.clock, ctx.user()?.id, text)
}

fn check_count(texts: usize) -> Result<(), Error> {
    if texts > ADDED_MAX {
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

/// The books of a body that is a list.
fn books(body: Value) -> Result<Vec<NewText>, Error> {
    check_count(body.as_array().map_or(0, Vec::len))?;
    let books: Vec<Book> = read_body(body.clone())?;
    let issue = |(index, book): (usize, &Book)| {
        let error = book.check().err()?;
        Some(Issue {
            rule: "value_error".into(),
            loc: vec!["body".into(), index.into()],
            msg: format!("Value error, {}", error.message()).into(),
            input: body[index].clone(),
            ctx: Some(json!({ "error": error.message() })),
        })
    };
    let issues: Vec<Issue> = books.iter().enumerate().filter_map(issue).collect();
    if issues.is_empty() {
        Ok(books.into_iter().map(|book| book.into_text(None)).collect())
    } else {
        Err(Error::invalid(issues))
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

#[derive(Serialize, JsonSchema)]
struct DocumentPassages {
    #[serde(flatten)]
    document: DocumentView,
    /// One after the other they are the document's text.
    passages: Vec<PassageView>,
}

/// A passage of a document.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DocumentPassage")]
struct PassageView {
    /// 0, 1, 2 …
    position: i64,
    /// The headings it stands under.
    heading: Option<String>,
    text: String,
}

fn read_passages(ctx: &Ctx, Path(path): Path<DocumentPath>) -> Result<DocumentPassages, Error> {
    let (owner, which) = (ctx.user()?.id, path.document()?);
    ctx.app.store.read(|read| {
        let document = store::find_document(read, owner, &which)?;
        let pieces = store::list_pieces(read, document.id)?;
        let passage = |piece: store::Piece| PassageView {
            position: piece.position,
            heading: piece.heading,
            text: piece.text,
        };
        Ok(DocumentPassages {
            document: view(document),
            passages: pieces.into_iter().map(passage).collect(),
        })
    })
}

fn remove(ctx: &Ctx, Path(path): Path<DocumentPath>) -> Result<(), Error> {
    library::remove(&ctx.app.store, &ctx.app.clock, ctx.user()?.id, path.document()?)
}
