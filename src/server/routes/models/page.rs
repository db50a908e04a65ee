//! A page of a list, as Anthropic's clients turn them: so many from one id on, or up to one.

use crate::server::error::ApiError;
use crate::server::routes::models::listed::Listed;
use http::StatusCode;
use std::collections::BTreeMap;

/// How many a page has when nobody says, and at most.
const USUAL: usize = 20;
const MOST: usize = 1000;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    limit: usize,
    from: From<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From<'a> {
    Start,
    After(&'a str),
    Before(&'a str),
}

/// Some of a list.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) models: &'a [Listed],
    /// Whether more follow in the direction that was asked for.
    pub(super) has_more: bool,
}

impl<'a> Wanted<'a> {
    /// Reads the query of a request.
    ///
    /// # Errors
    ///
    /// 400 for a limit that is no number from 1 to 1000, and for both ends at once.
    pub(super) fn read(query: &'a BTreeMap<String, String>) -> Result<Self, ApiError> {
        let limit = match query.get("limit") {
            None => USUAL,
            Some(text) => {
                let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                limit.ok_or_else(|| {
                    let problem =
                        format!("`limit` is `{text}`, which is no number from 1 to {MOST}");
                    refused(problem, "leave it out for 20")
                })?
            }
        };
        let from = match (query.get("after_id"), query.get("before_id")) {
            (None, None) => From::Start,
            (Some(id), None) => From::After(id),
            (None, Some(id)) => From::Before(id),
            (Some(_), Some(_)) => {
                let problem = "`after_id` and `before_id` are both given";
                return Err(refused(
                    problem,
                    "send the one of the direction you turn to",
                ));
            }
        };
        Ok(Self { limit, from })
    }
}

/// Returns the page of `models` that is wanted.
///
/// # Errors
///
/// 400 when the id that it begins or ends at is not in the list.
pub(super) fn cut<'a>(models: &'a [Listed], wanted: Wanted<'_>) -> Result<Page<'a>, ApiError> {
    let limit = wanted.limit;
    let place = |id: &str| {
        let place = models.iter().position(|listed| listed.id == id);
        place.ok_or_else(|| {
            let problem = format!("`{id}` is not in the list of models");
            refused(problem, "send the `last_id` or `first_id` of a page")
        })
    };
    let forward = |rest: &'a [Listed]| Page {
        models: rest.get(..limit).unwrap_or(rest),
        has_more: limit < rest.len(),
    };
    Ok(match wanted.from {
        From::Start => forward(models),
        From::After(id) => forward(models.get(place(id)? + 1..).unwrap_or_default()),
        From::Before(id) => {
            let rest = models.get(..place(id)?).unwrap_or_default();
            let start = rest.len().saturating_sub(limit);
            Page {
                models: rest.get(start..).unwrap_or_default(),
                has_more: 0 < start,
            }
        }
    })
}

fn refused(problem: impl Into<String>, hint: &str) -> ApiError {
    ApiError::of_request(
        StatusCode::BAD_REQUEST,
        "invalid_request",
        problem,
        Some(hint),
    )
}
