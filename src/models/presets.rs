//! The providers whose addresses and models are known beforehand: one table.
//!
//! A provider is a row here. Its key's variable is a setting by that alone (`cli`), and so is its name wherever a
//! provider is named without an address.

use super::request::LengthField;

/// How a provider is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI's chat completions.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
}

impl Protocol {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::OpenAi => "openai",
            Protocol::Anthropic => "anthropic",
        }
    }

    /// The protocol of this name.
    pub fn parse(name: &str) -> Option<Protocol> {
        [Protocol::OpenAi, Protocol::Anthropic]
            .into_iter()
            .find(|protocol| protocol.name() == name)
    }
}

/// A provider that is known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What stands before the slash in `provider/id`.
    pub name: &'static str,
    /// Where it is, as its own documentation says.
    pub base_url: &'static str,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The variable of its key, and what that is for; none for servers on this machine, which ask for none.
    pub key: Option<KeySetting>,
    pub(super) length_field: LengthField,
    /// The ids that are known without its name before them, and before it has listed its own; the first is what it
    /// answers with when no model is named.
    pub(super) ids: &'static [&'static str],
    /// What `fast`, `balanced` and `smart` mean here.
    pub(super) aliases: &'static [(&'static str, &'static str)],
}

/// The setting of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeySetting {
    /// The environment variable.
    pub variable: &'static str,
    /// A few words about it.
    pub help: &'static str,
}

const fn key(variable: &'static str, help: &'static str) -> Option<KeySetting> {
    Some(KeySetting { variable, help })
}

/// A server on this machine, which lists what it has.
const fn local(name: &'static str, base_url: &'static str) -> Preset {
    Preset {
        name,
        base_url,
        protocol: Protocol::OpenAi,
        key: None,
        length_field: LengthField::MaxTokens,
        ids: &[],
        aliases: &[],
    }
}

/// In order of preference: of several that have a key, the first one's model is the default.
pub const PRESETS: &[Preset] = &[
    // https://platform.openai.com/docs/models
    Preset {
        name: "openai",
        base_url: "https://api.openai.com/v1",
        protocol: Protocol::OpenAi,
        key: key(
            "OPENAI_API_KEY",
            "Key for OpenAI, or for the server that OPENAI_BASE_URL names",
        ),
        length_field: LengthField::MaxCompletionTokens,
        ids: &[
            "gpt-4.1-nano",
            "gpt-4.1-mini",
            "gpt-4.1",
            "gpt-4o-mini",
            "gpt-4o",
            "gpt-5-nano",
            "gpt-5-mini",
            "gpt-5",
            "o4-mini",
            "o3",
        ],
        aliases: &[
            ("fast", "gpt-4.1-nano"),
            ("balanced", "gpt-4.1-mini"),
            ("smart", "gpt-4.1"),
        ],
    },
    // https://docs.claude.com/en/docs/about-claude/models/overview
    Preset {
        name: "anthropic",
        base_url: "https://api.anthropic.com/v1",
        protocol: Protocol::Anthropic,
        key: key("ANTHROPIC_API_KEY", "Key for Anthropic"),
        length_field: LengthField::MaxTokens,
        ids: &["claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1"],
        aliases: &[
            ("fast", "claude-haiku-4-5"),
            ("balanced", "claude-sonnet-4-5"),
            ("smart", "claude-opus-4-1"),
        ],
    },
    // https://ai.google.dev/gemini-api/docs/openai
    Preset {
        name: "gemini",
        base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
        protocol: Protocol::OpenAi,
        key: key("GEMINI_API_KEY", "Key for Gemini"),
        length_field: LengthField::MaxTokens,
        ids: &["gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro"],
        aliases: &[
            ("fast", "gemini-2.5-flash-lite"),
            ("balanced", "gemini-2.5-flash"),
            ("smart", "gemini-2.5-pro"),
        ],
    },
    // https://console.groq.com/docs/models
    Preset {
        name: "groq",
        base_url: "https://api.groq.com/openai/v1",
        protocol: Protocol::OpenAi,
        key: key("GROQ_API_KEY", "Key for Groq"),
        length_field: LengthField::MaxTokens,
        ids: &[
            "llama-3.3-70b-versatile",
            "llama-3.1-8b-instant",
            "openai/gpt-oss-20b",
            "openai/gpt-oss-120b",
        ],
        aliases: &[
            ("fast", "llama-3.1-8b-instant"),
            ("balanced", "llama-3.3-70b-versatile"),
            ("smart", "openai/gpt-oss-120b"),
        ],
    },
    // https://docs.mistral.ai/getting-started/models
    Preset {
        name: "mistral",
        base_url: "https://api.mistral.ai/v1",
        protocol: Protocol::OpenAi,
        key: key("MISTRAL_API_KEY", "Key for Mistral"),
        length_field: LengthField::MaxTokens,
        ids: &["mistral-medium-latest", "mistral-small-latest", "mistral-large-latest"],
        aliases: &[
            ("fast", "mistral-small-latest"),
            ("balanced", "mistral-medium-latest"),
            ("smart", "mistral-large-latest"),
        ],
    },
    // https://api-docs.deepseek.com
    Preset {
        name: "deepseek",
        base_url: "https://api.deepseek.com/v1",
        protocol: Protocol::OpenAi,
        key: key("DEEPSEEK_API_KEY", "Key for DeepSeek"),
        length_field: LengthField::MaxTokens,
        ids: &["deepseek-chat", "deepseek-reasoner"],
        aliases: &[
            ("fast", "deepseek-chat"),
            ("balanced", "deepseek-chat"),
            ("smart", "deepseek-reasoner"),
        ],
    },
    // https://docs.x.ai/docs/models
    Preset {
        name: "xai",
        base_url: "https://api.x.ai/v1",
        protocol: Protocol::OpenAi,
        key: key("XAI_API_KEY", "Key for xAI"),
        length_field: LengthField::MaxTokens,
        ids: &["grok-3", "grok-3-mini", "grok-4"],
        aliases: &[("fast", "grok-3-mini"), ("balanced", "grok-3"), ("smart", "grok-4")],
    },
    // https://openrouter.ai/models: its ids have their makers' names before them.
    Preset {
        name: "openrouter",
        base_url: "https://openrouter.ai/api/v1",
        protocol: Protocol::OpenAi,
        key: key("OPENROUTER_API_KEY", "Key for OpenRouter"),
        length_field: LengthField::MaxTokens,
        ids: &[
            "openai/gpt-4.1-mini",
            "google/gemini-2.5-flash-lite",
            "anthropic/claude-sonnet-4.5",
        ],
        aliases: &[
            ("fast", "google/gemini-2.5-flash-lite"),
            ("balanced", "openai/gpt-4.1-mini"),
            ("smart", "anthropic/claude-sonnet-4.5"),
        ],
    },
    // https://docs.together.ai/docs/serverless-models
    Preset {
        name: "together",
        base_url: "https://api.together.xyz/v1",
        protocol: Protocol::OpenAi,
        key: key("TOGETHER_API_KEY", "Key for Together"),
        length_field: LengthField::MaxTokens,
        ids: &["meta-llama/Llama-3.3-70B-Instruct-Turbo", "deepseek-ai/DeepSeek-V3"],
        aliases: &[
            ("fast", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
            ("balanced", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
            ("smart", "deepseek-ai/DeepSeek-V3"),
        ],
    },
    local("ollama", "http://127.0.0.1:11434/v1"),
    local("llamacpp", "http://127.0.0.1:8080/v1"),
    local("lmstudio", "http://127.0.0.1:1234/v1"),
    local("vllm", "http://127.0.0.1:8000/v1"),
];

/// The row of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::super::address::BaseUrl;
    use super::*;

    #[test]
    fn every_row_can_be_used() {
        for (at, preset) in PRESETS.iter().enumerate() {
            let url = BaseUrl::parse(preset.base_url).unwrap();
            // A key goes nowhere unencrypted, and whoever asks for none is on this machine.
            assert_eq!(url.is_loopback(), preset.key.is_none(), "{}", preset.name);
            assert_eq!(preset.base_url.starts_with("https://"), preset.key.is_some());
            assert!(!url.join("").ends_with('/'));
            for (alias, id) in preset.aliases {
                assert!(preset.ids.contains(id), "{}: {alias}", preset.name);
            }
            assert_eq!(preset.key.is_some(), preset.aliases.len() == 3, "{}", preset.name);
            let names = PRESETS[..at].iter().filter(|other| other.name == preset.name);
            assert_eq!(names.count(), 0, "{} stands twice", preset.name);
            assert!(Protocol::parse(preset.protocol.name()) == Some(preset.protocol));
        }
    }
}
