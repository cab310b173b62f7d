//! `expand[]`: ids in an answer that become the objects they name, and fields that are only there
//! when asked for.

use serde_json::Value;

use super::refusal::Refusal;
use super::world::World;

/// Kept in the objects, but answered only when expanded.
const ON_DEMAND: [(&str, &str); 4] = [
    ("charge", "refunds"),
    ("checkout.session", "line_items"),
    ("invoice", "confirmation_secret"),
    ("invoice", "payments"),
];

/// The answer as the caller wants it.
pub(super) fn expand(world: &World, mut answer: Value, paths: &[String]) -> Result<Value, Refusal> {
    let mut trees: Vec<Vec<&str>> = paths.iter().map(|path| path.split('.').collect()).collect();
    trees.sort();
    if trees.iter().any(|steps| steps.len() > 4) {
        return Err(Refusal::invalid("You cannot expand more than 4 levels of a property."));
    }
    for (steps, path) in trees.iter().zip(paths) {
        walk(world, &mut answer, steps)
            .ok_or_else(|| Refusal::invalid(format!("This property cannot be expanded ({path}).")).param("expand"))?;
    }
    prune(&mut answer, &trees, &[]);
    Ok(answer)
}

/// An object without the fields that nobody asked for.
pub(super) fn plain(mut object: Value) -> Value {
    prune(&mut object, &[], &[]);
    object
}

fn walk(world: &World, at: &mut Value, steps: &[&str]) -> Option<()> {
    let Some((step, rest)) = steps.split_first() else { return Some(()) };
    if let (Value::Array(items), "data") = (&mut *at, *step) {
        return items.iter_mut().try_for_each(|item| walk(world, item, rest));
    }
    let field = at.as_object_mut()?.get_mut(*step)?;
    if let Some(object) = field.as_str().and_then(|id| world.objects.get(id)) {
        *field = object.clone();
    }
    match field {
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(world, item, rest)),
        // There is nothing to expand: not an error.
        Value::Null => Some(()),
        field => walk(world, field, rest),
    }
}

fn prune(at: &mut Value, asked: &[Vec<&str>], here: &[&str]) {
    match at {
        Value::Array(items) => items.iter_mut().for_each(|item| prune(item, asked, here)),
        Value::Object(fields) => {
            let kind = fields.get("object").and_then(Value::as_str).unwrap_or("").to_owned();
            fields.retain(|key, _| {
                let on_demand = ON_DEMAND.contains(&(kind.as_str(), key.as_str()));
                let path: Vec<&str> = here.iter().copied().chain([key.as_str()]).collect();
                !on_demand || asked.iter().any(|asked| asked.starts_with(&path))
            });
            for (key, value) in fields {
                let path: Vec<&str> = here.iter().copied().chain([key.as_str()]).collect();
                prune(value, asked, &path);
            }
        }
        _ => {}
    }
}
