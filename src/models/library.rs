//! The built-in model that quotes: it answers from the passages of the user's documents that came with the prompt, and
//! from nothing else. It needs no key and no network, and it makes nothing up.

use super::{Completion, Delta, Failure, Library, Passage, Prompt, Provider, Stop, Usage};

/// The id of the only model here, and the name of its provider.
pub const LIBRARY: &str = "library";

/// Passages of a reply: more would be a search result, not an answer.
const QUOTED_MAX: usize = 3;

/// A further passage is quoted only if it answers at least this well, the best being 1.
const RELEVANCE_MIN: f64 = 0.5;

const HOW_TO_ADD: &str = "Add documents with `POST /documents`, or on the server's machine with `fireside import FILE` \
    (plain text, Markdown, or a list of books as JSON).";

/// Replies with quotations.
pub(super) struct Librarian;

impl Provider for Librarian {
    fn name(&self) -> &str {
        LIBRARY
    }

    fn instant(&self) -> bool {
        true
    }

    fn quotes_library(&self) -> bool {
        true
    }

    fn complete(
        &self,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure> {
        if stop.is_stopped() {
            return Err(Failure::stopped());
        }
        let reply = answer(prompt.library.as_ref());
        on_delta(Delta::Text(&reply));
        Ok(Completion {
            provider: LIBRARY.to_owned(),
            model: LIBRARY.to_owned(),
            finish_reason: Some("stop".to_owned()),
            usage: Usage::estimate(prompt, reply.chars().count() as u64),
        })
    }
}

fn answer(library: Option<&Library>) -> String {
    let Some(library) = library.filter(|library| library.documents > 0) else {
        return format!("Your library is empty, so there is nothing to answer from. {HOW_TO_ADD}");
    };
    if library.passages.is_empty() {
        let held = match library.documents {
            1 => "the one document".to_owned(),
            count => format!("any of the {count} documents"),
        };
        return format!("Nothing in {held} of your library matches that. Try other words. {HOW_TO_ADD}");
    }
    let numbered = (1..).zip(quoted(library));
    let quoted: Vec<String> = numbered.map(|(number, passage)| quotation(number, passage)).collect();
    format!("From your library:\n\n{}", quoted.join("\n\n"))
}

/// The passages that a reply from this library quotes, in the order of their numbers.
pub fn quoted(library: &Library) -> &[Passage] {
    let best = library.passages.first().map_or(0.0, |passage| passage.score);
    let is_relevant = |passage: &&Passage| passage.score >= best * RELEVANCE_MIN;
    let quoted = library.passages.iter().take(QUOTED_MAX).take_while(is_relevant);
    &library.passages[..quoted.count()]
}

/// A passage as a Markdown quotation with its source and its number below.
fn quotation(number: usize, passage: &Passage) -> String {
    let lines = passage.text.trim().lines().map(|line| match line.trim_end() {
        "" => ">".to_owned(),
        line => format!("> {line}"),
    });
    let lines: Vec<String> = lines.collect();
    let mut source = format!("**{}**", plain(&passage.title));
    if let Some(author) = &passage.author {
        source += &format!(", {}", plain(author));
    }
    if let Some(heading) = &passage.heading {
        source += &format!(" ({})", plain(heading));
    }
    format!("{}\n\n— {source} [{number}]", lines.join("\n"))
}

/// A title as it is, whatever signs of Markdown are in it, on one line.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if c.is_control() {
            plain.push(' ');
            continue;
        }
        if matches!(c, '\\' | '*' | '_' | '`' | '[' | ']' | '<' | '&') {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(title: &str, text: &str, score: f64) -> Passage {
        Passage {
            document_id: String::new(),
            position: 0,
            title: title.to_owned(),
            author: None,
            heading: None,
            text: text.to_owned(),
            score,
        }
    }

    fn library(documents: u64, passages: Vec<Passage>) -> Library {
        Library { documents, passages }
    }

    #[test]
    fn the_best_passages_are_quoted_with_their_sources() {
        let mut best = passage("Moby-Dick", "A whale.\n\nIt is white.\n", 2.0);
        best.author = Some("Herman Melville".to_owned());
        best.heading = Some("Chapter 42".to_owned());
        let found = library(
            9,
            vec![
                best,
                passage("A*b", "Two.", 1.5),
                passage("Far off", "Three.", 0.9),
                passage("x", "Four.", 0.8),
            ],
        );
        assert_eq!(
            answer(Some(&found)),
            "From your library:\n\n> A whale.\n>\n> It is white.\n\n— **Moby-Dick**, Herman Melville (Chapter 42) [1]\n\n\
             > Two.\n\n— **A\\*b** [2]"
        );
        assert_eq!(quoted(&found).len(), 2);
        assert!(quoted(&library(3, Vec::new())).is_empty());
    }

    #[test]
    fn nothing_found_is_said() {
        assert!(answer(None).contains("library is empty"));
        assert!(answer(Some(&library(0, Vec::new()))).contains("fireside import"));
        for (count, held) in [(1, "the one document"), (7, "7 documents")] {
            let said = answer(Some(&library(count, Vec::new())));
            assert!(said.contains(held) && said.contains("fireside import"), "{said}");
        }
    }
}
