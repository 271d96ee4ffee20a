//! What models cost: a table of prices, read from JSON, and the arithmetic. Knows no users, requests or rows.
//!
//! `{model: {version, input, cached_input, output, capabilities?}}`, in US dollars per million tokens. The order of the
//! file is the order in which clients are shown the models. `examples/pricing_data.json` is built in, and
//! `examples/pricing_data.md` says where each of its prices comes from.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Kind};

/// The table that is used when no other is named.
const BUILT_IN: &str = include_str!("../examples/pricing_data.json");

/// A dollar for a token. What is above it was not meant per million tokens; and products with as many tokens as
/// anybody can claim stay finite, so that a price is always a JSON number.
const PRICE_MAX: f64 = 1_000_000.0;

/// Digits after the point to which prices are rounded: a tenth of what the cheapest token costs.
const ROUNDING: f64 = 1e7;

/// Tokens that a price is for.
const PER_TOKENS: f64 = 1e6;

/// Prices by model.
#[derive(Clone, Debug)]
pub struct Pricing(Vec<(String, Rates)>);

/// The prices of one model.
#[derive(Clone, Debug, Deserialize)]
struct Rates {
    /// The dated name behind the model's, which is looked up as well.
    #[serde(default)]
    version: Option<String>,
    input: Price,
    /// Absent or null: cached tokens cost what others cost.
    #[serde(default)]
    cached_input: Option<Price>,
    output: Price,
}

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug)]
struct Price(f64);

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
        let usd = f64::deserialize(deserializer)?;
        if (0.0..=PRICE_MAX).contains(&usd) {
            Ok(Price(usd))
        } else {
            Err(D::Error::custom(format!("{usd} is not a price from 0 to {PRICE_MAX}")))
        }
    }
}

/// The tokens of one call of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Read, without the cached ones.
    pub input: u64,
    /// Of those, the ones that the provider had kept.
    pub cached: u64,
    /// Written.
    pub output: u64,
}

impl Pricing {
    /// The table that Fireside brings along.
    ///
    /// # Errors
    /// None that a test would not have found.
    pub fn built_in() -> Result<Pricing, Error> {
        Pricing::parse("the built-in prices", BUILT_IN)
    }

    /// Reads a table; `name` is what an error calls it.
    ///
    /// # Errors
    /// [`Kind::Malformed`] naming the line, and the model whose entry is wrong.
    pub fn parse(name: &str, json: &str) -> Result<Pricing, Error> {
        let current = RefCell::new(None);
        let mut reader = serde_json::Deserializer::from_str(json);
        let table = Table(&current)
            .deserialize(&mut reader)
            .and_then(|rows| reader.end().map(|()| rows))
            .map_err(|error| {
                let text = error.to_string();
                let reason = text.split(" at line ").next().unwrap_or(&text);
                let entry = match &*current.borrow() {
                    Some(model) => format!(", {model:?}"),
                    None => String::new(),
                };
                let message = format!("{name}: line {}{entry}: {reason}", error.line());
                Error::new(Kind::Malformed, message)
            })?;
        Ok(Pricing(table))
    }

    /// The models of the table, in its order; never none.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(model, _)| model.as_str())
    }

    /// What a call of this provider's model costs, in US dollars rounded to seven digits after the point; 0 for a
    /// model without a price.
    pub fn price(&self, provider: &str, model: &str, tokens: Tokens) -> f64 {
        let Some(rates) = self.find(provider, model) else {
            return 0.0;
        };
        let cached_rate = rates.cached_input.unwrap_or(rates.input);
        let usd = (count(tokens.input) * rates.input.0
            + count(tokens.cached) * cached_rate.0
            + count(tokens.output) * rates.output.0)
            / PER_TOKENS;
        round(usd)
    }

    /// By `provider/model`, since several sell the same model; then by the model's own name, and by what is left of it
    /// without the names of vendors and resellers before it.
    fn find(&self, provider: &str, model: &str) -> Option<&Rates> {
        let full = format!("{provider}/{model}");
        let names = std::iter::successors(Some(full.as_str()), |name| Some(name.split_once('/')?.1));
        names.into_iter().find_map(|name| {
            let mut rows = self.0.iter();
            rows.find(|(model, rates)| model == name || rates.version.as_deref() == Some(name))
                .map(|(_, rates)| rates)
        })
    }
}

/// A sum of prices, rounded as they are.
pub fn round(usd: f64) -> f64 {
    (usd * ROUNDING).round() / ROUNDING
}

/// Counts of tokens are far below 2⁵³.
#[expect(
    clippy::cast_precision_loss,
    reason = "beyond 2⁵³ tokens the last of them is not what matters"
)]
fn count(tokens: u64) -> f64 {
    tokens as f64
}

/// Reads the table entry by entry, in order, and notes which one it is in.
struct Table<'n>(&'n RefCell<Option<String>>);

impl<'de> DeserializeSeed<'de> for Table<'_> {
    type Value = Vec<(String, Rates)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Table<'_> {
    type Value = Vec<(String, Rates)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a model's prices under each model's name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut rows: Vec<(String, Rates)> = Vec::new();
        while let Some(model) = map.next_key::<String>()? {
            *self.0.borrow_mut() = Some(model.clone());
            if model.trim().is_empty() {
                return Err(A::Error::custom("a model needs a name"));
            }
            if rows.iter().any(|(other, _)| *other == model) {
                return Err(A::Error::custom("this model stands twice"));
            }
            let rates = map.next_value()?;
            rows.push((model, rates));
            *self.0.borrow_mut() = None;
        }
        if rows.is_empty() {
            return Err(A::Error::custom("there is no model in it"));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{
        "small": {"version": "small-2025-04-14", "input": 0.1, "cached_input": 0.025, "output": 0.4},
        "host/vendor/open": {"version": "open", "input": 1, "cached_input": null, "output": 2, "capabilities": ["chat"]},
        "free": {"input": 0, "output": 0, "note": "anything else is not read"}
    }"#;

    fn tokens(input: u64, cached: u64, output: u64) -> Tokens {
        Tokens { input, cached, output }
    }

    #[track_caller]
    fn check(provider: &str, model: &str, tokens: Tokens, usd: f64) {
        let sample = Pricing::parse("sample", SAMPLE).unwrap();
        let price = sample.price(provider, model, tokens);
        assert!(
            (price - usd).abs() < 1e-12,
            "{provider}/{model}: {price} instead of {usd}"
        );
    }

    #[test]
    fn tokens_are_priced_per_million() {
        check("openai", "small", tokens(1_000_000, 0, 0), 0.1);
        check("openai", "small", tokens(0, 0, 1_000_000), 0.4);
        // 40 · 0.1 + 6 · 0.4 dollars for a million.
        check("openai", "small", tokens(40, 0, 6), 6.4e-6);
        check("openai", "free", tokens(1_000_000, 0, 1_000_000), 0.0);
    }

    #[test]
    fn cached_tokens_have_a_price_of_their_own() {
        // 400 · 0.1 + 600 · 0.025.
        check("openai", "small", tokens(400, 600, 0), 5.5e-5);
        check("openai", "small", tokens(0, 1000, 0), 2.5e-5);
        // Without one they cost what the others cost.
        check("host", "vendor/open", tokens(400, 600, 0), 1e-3);
    }

    #[test]
    fn seven_digits_are_kept() {
        check("openai", "small", tokens(1, 0, 0), 1e-7);
        check("openai", "small", tokens(1, 3, 0), 2e-7);
        check("openai", "small", tokens(0, 0, 123_456_789), 49.382_715_6);
        assert_eq!(
            serde_json::to_string(&round(6.4e-6 + 8e-6 + 2e-5)).unwrap(),
            "0.0000344"
        );
        assert_eq!(serde_json::to_string(&round(0.0)).unwrap(), "0.0");
    }

    #[test]
    fn a_model_is_found_under_its_names() {
        let million = tokens(1_000_000, 0, 0);
        for model in ["small", "small-2025-04-14", "openai/small", "reseller/openai/small"] {
            check("openai", model, million, 0.1);
        }
        check("host", "vendor/open", million, 1.0);
        check("reseller", "host/vendor/open", million, 1.0);
        for (provider, model) in [
            ("echo", "echo"),
            ("openai", "smal"),
            ("openai", ""),
            ("x", "small-2"),
            ("x", "small/"),
        ] {
            check(provider, model, million, 0.0);
        }
        // Somebody else's copy of an open model has another price, or none.
        check("local", "vendor/open-7b", million, 0.0);
    }

    #[test]
    fn the_largest_claims_are_still_numbers() {
        let dear = format!(r#"{{"m": {{"input": {PRICE_MAX}, "output": {PRICE_MAX}}}}}"#);
        let dear = Pricing::parse("dear", &dear).unwrap();
        assert!(dear.price("p", "m", tokens(u64::MAX, 0, u64::MAX)).is_finite());
    }

    #[track_caller]
    fn check_refused(json: &str, message: &str) {
        let error = Pricing::parse("prices.json", json).unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed);
        assert!(error.message().starts_with(message), "{}", error.message());
    }

    #[test]
    fn a_bad_table_names_the_line_and_the_entry() {
        check_refused("", "prices.json: line 1: EOF");
        check_refused(
            "[]",
            "prices.json: line 1: invalid type: sequence, expected an object with",
        );
        check_refused("{}", "prices.json: line 1: there is no model");
        check_refused("{\n \"a\": 1}", "prices.json: line 2, \"a\": invalid type");
        check_refused(
            "{\n\"a\": {\"input\": 1}\n}",
            "prices.json: line 2, \"a\": missing field `output`",
        );
        check_refused(
            "{\n\"a\": {\"input\": 1, \"output\": 1},\n\"b\": {\"input\": 1,\n\"output\": -1}}",
            "prices.json: line 4, \"b\": -1 is not a price",
        );
        check_refused(
            "{\"a\": {\"input\": \"1\", \"output\": 1}}",
            "prices.json: line 1, \"a\": invalid type: string",
        );
        check_refused(
            "{\"a\": {\"input\": 1e999, \"output\": 1}}",
            "prices.json: line 1, \"a\": number out of range",
        );
        check_refused(
            "{\"a\": {\"input\": 1e7, \"output\": 1}}",
            "prices.json: line 1, \"a\": 10000000 is not",
        );
        check_refused(
            "{\" \": {\"input\": 1, \"output\": 1}}",
            "prices.json: line 1, \" \": a model needs",
        );
        let twice = "{\"a\": {\"input\": 1, \"output\": 1},\n\n\"a\": {\"input\": 1, \"output\": 1}}";
        check_refused(twice, "prices.json: line 3, \"a\": this model stands twice");
        check_refused(
            "{\"a\": {\"input\": 1, \"output\": 1}} x",
            "prices.json: line 1: trailing characters",
        );
    }

    #[test]
    fn the_built_in_table_holds_what_it_should() {
        let built_in = Pricing::built_in().unwrap();
        assert_eq!(
            built_in.models().next(),
            Some("gpt-4.1-nano"),
            "the default of the clients"
        );
        let sources = include_str!("../examples/pricing_data.md");
        for (model, rates) in &built_in.0 {
            assert!(sources.contains(&format!("| `{model}` |")), "{model} has no source");
            assert!(rates.version.is_some(), "{model} has no version");
            assert!(rates.output.0 >= rates.input.0, "{model}");
            assert!(
                rates.cached_input.is_none_or(|cached| cached.0 <= rates.input.0),
                "{model}"
            );
        }
        let nano = built_in.price("openai", "gpt-4.1-nano", tokens(220, 0, 31));
        assert!((nano - 3.44e-5).abs() < 1e-12, "{nano}");
    }
}
