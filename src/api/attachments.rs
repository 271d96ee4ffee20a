//! Files: uploading one, and getting back what was uploaded or sent. Only their owner gets them, and never in a form
//! that a browser would run: by what its sender says of it, a file may be anything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AnyId, Ctx};
use crate::error::{Error, Kind};
use crate::http::{
    Auth, FormFile, Json, NoContent, PartOfFile, Path, Raw, Reply, Request, Route, Upload, delete, get, post,
};
use crate::reading::picture_type;
use crate::store::{self, Attachment, AttachmentReader, NewAttachment, Ref};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    post(
        "/upload/",
        Auth::User,
        "Upload a file; its address can be sent with a message within a day",
        &Json(upload),
    )
    .fails(&[Kind::RateLimited]),
    get("/media/{media_name}", Auth::User, "Get an uploaded file", &Raw(media)),
    get(
        "/attachments/{attachment_id}",
        Auth::User,
        "Get a file that was sent with a message",
        &Raw(attachment),
    ),
    delete(
        "/attachments/{attachment_id}",
        Auth::User,
        "Delete a file for good, sent or not; messages that had it stay",
        &NoContent(remove),
    ),
];

/// What besides pictures is served as what its sender said it is; everything else is bytes. Nothing here is a page or holds scripts.
const HARMLESS: &[&str] = &[
    "image/avif",
    "image/bmp",
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "video/mp4",
    "video/ogg",
    "video/webm",
    "application/json",
    "application/pdf",
    "application/zip",
];

/// Texts, which are served as plain ones.
const TEXTS: &[&str] = &["text/plain", "text/csv", "text/markdown"];

/// Characters of an address's ending.
const ENDING_CHARS_MAX: usize = 8;

#[derive(Serialize, JsonSchema)]
struct Uploaded {
    url: String,
}

fn upload(ctx: &Ctx, FormFile(file): FormFile) -> Result<Uploaded, Error> {
    ctx.app.count_message(&ctx.request, ctx.user()?.id)?;
    let kept = keep(ctx, &file)?;
    Ok(Uploaded {
        url: format!("/media/{}", media_name(&kept)),
    })
}

/// Stores an uploaded file, not sent with any message yet.
pub(super) fn keep(ctx: &Ctx, file: &Upload) -> Result<Attachment, Error> {
    let new = NewAttachment {
        uuid: ctx.app.clock.uuid(),
        user_id: ctx.user()?.id,
        filename: file.filename.clone(),
        content_type: file.content_type.clone(),
        created_at: ctx.now(),
    };
    let quota = ctx.app.policy.upload_quota_bytes(ctx.user()?.limits);
    ctx.app.store.keep_file(&new, quota, || file.reader())
}

/// The last part of an upload's address: its UUID, and an ending for those who go by it.
fn media_name(attachment: &Attachment) -> String {
    let ending = attachment.filename.rsplit_once('.').map(|(_, ending)| ending);
    let is_plain = |ending: &&str| {
        (1..=ENDING_CHARS_MAX).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let ending = ending.filter(is_plain).unwrap_or("bin").to_ascii_lowercase();
    format!("{}.{ending}", attachment.uuid)
}

#[derive(Deserialize, JsonSchema)]
struct MediaPath {
    media_name: String,
}

/// One of the caller's files, by the last part of its address.
fn find_media(ctx: &Ctx, name: &str) -> Result<Attachment, Error> {
    let uuid = name.split('.').next().unwrap_or("");
    let found = find(ctx, &Ref::Uuid(uuid.to_owned()))?;
    if media_name(&found) == name {
        Ok(found)
    } else {
        Err(missing())
    }
}

fn find(ctx: &Ctx, which: &Ref) -> Result<Attachment, Error> {
    let owner = ctx.user()?.id;
    ctx.app.store.read(|read| store::find_attachment(read, owner, which))
}

fn missing() -> Error {
    Error::new(Kind::NotFound, "Attachment not found")
}

fn media(ctx: &Ctx, Path(path): Path<MediaPath>) -> Result<PartOfFile, Error> {
    let found = find_media(ctx, &path.media_name)?;
    let manner = if picture_type(&found.content_type).is_some() {
        "inline"
    } else {
        "attachment"
    };
    serve(ctx, &found, manner)
}

#[derive(Deserialize, JsonSchema)]
struct AttachmentPath {
    attachment_id: AnyId,
}

impl AttachmentPath {
    fn attachment(&self) -> Result<Ref, Error> {
        self.attachment_id.parse().ok_or_else(missing)
    }
}

fn attachment(ctx: &Ctx, Path(path): Path<AttachmentPath>) -> Result<PartOfFile, Error> {
    let found = find(ctx, &path.attachment()?)?;
    serve(ctx, &found, "attachment")
}

fn remove(ctx: &Ctx, Path(path): Path<AttachmentPath>) -> Result<(), Error> {
    let (owner, which) = (ctx.user()?.id, path.attachment()?);
    ctx.app
        .store
        .write(move |tx| store::delete_attachment(tx, owner, &which))
}

/// The file, or the part of it that is asked for. Streamed from the store as the client takes it.
fn serve(ctx: &Ctx, attachment: &Attachment, manner: &str) -> Result<PartOfFile, Error> {
    let size = u64::try_from(attachment.size).unwrap_or(0);
    let tag = format!("\"{}\"", attachment.sha256);
    let known = ctx.request.header("If-None-Match").unwrap_or("");
    let reply = if known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag) {
        Reply::empty(304)
    } else {
        let open = |offset| AttachmentReader::open(&ctx.app.store, attachment, offset);
        let content_type = served_type(&attachment.content_type);
        match wanted(&ctx.request, &tag, size) {
            Wanted::All => Reply::stream(200, content_type, size, Box::new(open(0)?)),
            Wanted::Part { first, last } => Reply::stream(206, content_type, last - first + 1, Box::new(open(first)?))
                .header("Content-Range", &format!("bytes {first}-{last}/{size}")),
            Wanted::Beyond => Reply::json(416, &json!({ "detail": "The file ends before that" }))?
                .header("Content-Range", &format!("bytes */{size}")),
        }
    };
    let reply = reply
        .header("Content-Disposition", &disposition(manner, &attachment.filename))
        .header("Content-Security-Policy", "sandbox; default-src 'none'")
        .header("Accept-Ranges", "bytes")
        .header("Cache-Control", "private")
        .header("ETag", &tag);
    Ok(PartOfFile(reply))
}

/// The type a file is served as.
fn served_type(said: &str) -> &'static str {
    if TEXTS.contains(&said) {
        return "text/plain; charset=utf-8";
    }
    let harmless = HARMLESS.iter().copied().find(|known| *known == said);
    picture_type(said).or(harmless).unwrap_or("application/octet-stream")
}

/// How much of a file a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part {
        first: u64,
        last: u64,
    },
    /// Only what lies behind its end.
    Beyond,
}

/// Players ask for parts. One range is enough for them; whoever asks for several, or in another manner, gets everything
/// (RFC 9110, 14.2 allows it).
fn wanted(request: &Request, tag: &str, size: u64) -> Wanted {
    match (request.header("Range"), request.header("If-Range")) {
        (Some(range), None) => range_of(range, size),
        (Some(range), Some(unchanged)) if unchanged == tag => range_of(range, size),
        _ => Wanted::All,
    }
}

fn range_of(range: &str, size: u64) -> Wanted {
    let bounds = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let Some((first, last)) = bounds else {
        return Wanted::All;
    };
    let (first, last) = match (first.trim(), last.trim()) {
        ("", count) => match count.parse::<u64>() {
            Ok(0) => return Wanted::Beyond,
            Ok(count) => (size.saturating_sub(count), size.saturating_sub(1)),
            Err(_) => return Wanted::All,
        },
        (first, "") => match first.parse() {
            Ok(first) => (first, size.saturating_sub(1)),
            Err(_) => return Wanted::All,
        },
        (first, last) => match (first.parse(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
            _ => return Wanted::All,
        },
    };
    if first >= size {
        Wanted::Beyond
    } else {
        Wanted::Part { first, last }
    }
}

/// How a file is to be taken and what it is called (RFC 6266): in ASCII for all, and as it is for those who read RFC 8187.
fn disposition(manner: &str, filename: &str) -> String {
    let is_plain = |char: char| (' '..='~').contains(&char) && !matches!(char, '"' | '\\' | '%');
    let plain: String = filename
        .chars()
        .map(|char| if is_plain(char) { char } else { '_' })
        .collect();
    let mut value = format!("{manner}; filename=\"{plain}\"");
    if plain != filename {
        value += "; filename*=UTF-8''";
        for byte in filename.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                value.push(char::from(byte));
            } else {
                value += &format!("%{byte:02X}");
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_headers() {
        assert_eq!(disposition("attachment", "a b.txt"), "attachment; filename=\"a b.txt\"");
        assert_eq!(
            disposition("inline", "ü\".png"),
            "inline; filename=\"__.png\"; filename*=UTF-8''%C3%BC%22.png"
        );
    }

    #[test]
    fn pages_are_bytes() {
        for said in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "text/javascript",
            "x",
        ] {
            assert_eq!(served_type(said), "application/octet-stream");
        }
        assert_eq!(served_type("image/png"), "image/png");
        assert_eq!(served_type("text/csv"), "text/plain; charset=utf-8");
    }

    #[test]
    fn ranges() {
        let part = |first, last| Wanted::Part { first, last };
        for (range, size, got) in [
            ("bytes=0-", 10, part(0, 9)),
            ("bytes=3-5", 10, part(3, 5)),
            ("bytes=3-99", 10, part(3, 9)),
            ("bytes=-3", 10, part(7, 9)),
            ("bytes=-99", 10, part(0, 9)),
            ("bytes=10-", 10, Wanted::Beyond),
            ("bytes=-0", 10, Wanted::Beyond),
            ("bytes=0-", 0, Wanted::Beyond),
            ("bytes=-1", 0, Wanted::Beyond),
            ("bytes=5-3", 10, Wanted::All),
            ("bytes=0-1,3-4", 10, Wanted::All),
            ("lines=0-1", 10, Wanted::All),
            ("bytes=x-", 10, Wanted::All),
        ] {
            assert_eq!(range_of(range, size), got, "{range} of {size}");
        }
    }
}
