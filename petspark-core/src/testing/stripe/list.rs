//! Pages of objects, newest first.

use serde_json::{Value, json};

use super::form::Form;
use super::refusal::Refusal;
use super::world::World;

/// The parameters that every list takes.
pub(super) const PAGING: [&str; 4] = ["limit", "starting_after", "ending_before", "created"];

/// A page of what is of `kind` and wanted.
pub(super) fn page(
    world: &World,
    form: &Form,
    kind: &str,
    url: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value, Refusal> {
    let limit = form.integer("limit")?.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(Refusal::invalid("Limit must be between 1 and 100")
            .code("parameter_invalid_integer")
            .param("limit"));
    }
    let limit = usize::try_from(limit).unwrap_or(1);
    let created = Span::read(form, "created")?;
    // Ids grow with time.
    let mut found: Vec<&Value> = world.all(kind).filter(|one| wanted(one) && created.holds(&one["created"])).collect();
    found.reverse();
    let place = |id: &str, param: &str| {
        let at = found.iter().position(|one| one["id"] == id);
        at.ok_or_else(|| Refusal::missing(kind, id, param))
    };
    let (from, to) = match (form.text("starting_after")?, form.text("ending_before")?) {
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid("You cannot parameterize both starting_after and ending_before"));
        }
        (Some(id), None) => {
            let from = place(id, "starting_after")? + 1;
            (from, (from + limit).min(found.len()))
        }
        (None, Some(id)) => {
            let to = place(id, "ending_before")?;
            (to.saturating_sub(limit), to)
        }
        (None, None) => (0, limit.min(found.len())),
    };
    let has_more = if form.has("ending_before") { from > 0 } else { to < found.len() };
    let data: Vec<Value> = found[from..to].iter().map(|one| (*one).clone()).collect();
    Ok(json!({ "object": "list", "data": data, "has_more": has_more, "url": url }))
}

/// `created=N` or `created[gte]=N` and its like.
#[derive(Default)]
struct Span {
    from: Option<i64>,
    to: Option<i64>,
}

impl Span {
    fn read(form: &Form, key: &str) -> Result<Self, Refusal> {
        if let Ok(Some(_)) = form.text(key) {
            let exactly = form.integer(key)?;
            return Ok(Self { from: exactly, to: exactly });
        }
        let Some(given) = form.below(key)? else { return Ok(Self::default()) };
        given.only(&["gt", "gte", "lt", "lte"])?;
        let (gt, gte) = (given.integer("gt")?.map(|at| at + 1), given.integer("gte")?);
        let (lt, lte) = (given.integer("lt")?.map(|at| at - 1), given.integer("lte")?);
        Ok(Self { from: gt.max(gte), to: [lt, lte].into_iter().flatten().min() })
    }

    fn holds(&self, at: &Value) -> bool {
        let Some(at) = at.as_i64() else { return true };
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at <= to)
    }
}
