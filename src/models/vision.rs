//! Which models see pictures, and which read documents. Servers do not say (their lists hold ids alone), so it goes by
//! the name.

/// How the ids of families that see begin, behind the provider's name. Smaller ones that do not see come first.
/// <https://platform.openai.com/docs/models>, <https://console.groq.com/docs/vision>, <https://ollama.com/search?c=vision>
const FAMILIES: &[(&str, bool)] = &[
    ("o1-mini", false),
    ("o1-preview", false),
    ("o3-mini", false),
    ("o1", true),
    ("o3", true),
    ("o4", true),
    ("gpt-4o", true),
    ("gpt-4.1", true),
    ("gpt-4-turbo", true),
    ("gpt-5", true),
    ("chatgpt-4o", true),
    ("claude-2", false),
    ("claude-instant", false),
    ("claude-", true),
    ("gemini-", true),
    ("gemma3:1b", false),
    ("gemma3:270m", false),
    ("gemma-3-1b", false),
    ("gemma-3-270m", false),
    ("gemma3", true),
    ("gemma-3-", true),
    ("llama4", true),
    ("llama-4-", true),
    ("llava", true),
    ("bakllava", true),
    ("pixtral", true),
    ("moondream", true),
    ("minicpm-v", true),
    ("mistral-small3.1", true),
    ("mistral-small3.2", true),
];

/// Whether a model of this id sees. One that is not known is taken to be blind: a server refuses the whole prompt when
/// a blind model is sent a picture.
pub(super) fn sees(model: &str) -> bool {
    let id = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    // What has it in its name, wherever it stands: `llama3.2-vision`, `qwen2.5vl:7b`. (`InternVL3-8B` has it in the middle of a word.)
    let is_named = id
        .split(|char: char| !char.is_ascii_alphanumeric())
        .any(|word| word == "vision" || word.ends_with("vl"));
    let family = FAMILIES.iter().find(|(start, _)| id.starts_with(start));
    is_named || id.starts_with("internvl") || family.is_some_and(|(_, sees)| *sees)
}

/// Whether a model that speaks Anthropic's protocol reads documents: Claude's do, since those of 2024.
/// <https://docs.anthropic.com/en/docs/build-with-claude/pdf-support>
pub(super) fn reads_documents(model: &str) -> bool {
    let id = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let is_old = [
        "claude-2",
        "claude-instant",
        "claude-3-haiku",
        "claude-3-sonnet",
        "claude-3-opus",
    ]
    .iter()
    .any(|old| id.starts_with(old));
    id.starts_with("claude-") && !is_old
}

#[cfg(test)]
mod tests {
    use super::{reads_documents, sees};

    #[test]
    fn documents_by_name() {
        for (model, reads) in [
            ("claude-sonnet-4-5", true),
            ("anthropic/claude-3-5-haiku-latest", true),
            ("claude-3-haiku-20240307", false),
            ("kimi-k2", false),
        ] {
            assert_eq!(reads_documents(model), reads, "{model}");
        }
    }

    #[test]
    fn by_name() {
        for model in [
            "gpt-4.1-nano",
            "gpt-4o-mini",
            "o3",
            "meta-llama/llama-4-scout-17b-16e-instruct",
            "llama3.2-vision:11b",
            "qwen2.5vl:7b",
            "Qwen/Qwen2.5-VL-7B-Instruct",
            "OpenGVLab/InternVL3-8B",
            "gemma3:4b",
            "anthropic/claude-sonnet-4",
        ] {
            assert!(sees(model), "{model}");
        }
        for model in [
            "",
            "echo",
            "o3-mini",
            "gpt-3.5-turbo",
            "llama-3.3-70b-versatile",
            "openai/gpt-oss-20b",
            "gemma3:1b",
            "revision-7b",
        ] {
            assert!(!sees(model), "{model}");
        }
    }
}
