//! `?limit=&offset=`: the query of lists that are read page by page and ask nothing else.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::store::Page;

/// Which page.
#[derive(Deserialize, JsonSchema)]
pub(super) struct PageQuery {
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: i64,
    #[serde(default)]
    #[schemars(range(min = 0))]
    offset: i64,
}

/// Rows of a page where the client does not say.
pub(super) fn default_limit() -> i64 {
    50
}

impl From<PageQuery> for Page {
    fn from(query: PageQuery) -> Page {
        Page {
            limit: query.limit,
            offset: query.offset,
        }
    }
}
