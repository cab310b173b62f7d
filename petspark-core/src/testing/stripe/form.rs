//! The parameters of a call: form-encoded, with brackets for what is nested.

use serde_json::{Map, Value};

use super::refusal::Refusal;

type Outcome<T> = Result<T, Refusal>;

/// What a call was given. Every leaf is text, as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Form {
    fields: Map<String, Value>,
    /// Where this form stands in a larger one, for messages: `items[0]`.
    within: String,
}

impl Form {
    /// Reads `a=1&b[c]=2&d[]=3&e[0][f]=4`.
    pub(super) fn parse(encoded: &str) -> Outcome<Self> {
        let mut root = Value::Object(Map::new());
        for (key, value) in url::form_urlencoded::parse(encoded.as_bytes()) {
            let steps: Vec<&str> = key.split('[').map(|step| step.trim_end_matches(']')).collect();
            insert(&mut root, &steps, &value).ok_or_else(|| Refusal::invalid(format!("Invalid object: {key}")))?;
        }
        let Value::Object(fields) = tidy(root) else { return Ok(Self::default()) };
        Ok(Self { fields, within: String::new() })
    }

    /// As if these had been given.
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Self::parse(&encoded).unwrap_or_default()
    }

    /// Refuses every parameter but these; `expand` is always welcome.
    pub(super) fn only(&self, known: &[&str]) -> Outcome<()> {
        let stranger = self.fields.keys().find(|key| !known.contains(&key.as_str()) && *key != "expand");
        stranger.map_or(Ok(()), |key| Err(Refusal::unknown(&self.name(key))))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// Given as nothing, which takes a value away: `cancel_at=`.
    pub(super) fn unset(&self, key: &str) -> bool {
        self.fields.get(key).and_then(Value::as_str) == Some("")
    }

    /// The text of a parameter, unless it is missing or empty.
    pub(super) fn text(&self, key: &str) -> Outcome<Option<&str>> {
        match self.fields.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::invalid(format!("Invalid string: {}", self.name(key))).param(&self.name(key))),
        }
    }

    pub(super) fn need(&self, key: &str) -> Outcome<&str> {
        self.text(key)?.ok_or_else(|| Refusal::required(&self.name(key)))
    }

    /// One of these, if given.
    pub(super) fn one_of(&self, key: &str, known: &[&str]) -> Outcome<Option<&str>> {
        match self.text(key)? {
            Some(text) if !known.contains(&text) => {
                Err(Refusal::invalid(format!("Invalid {}: must be one of {}", self.name(key), known.join(", ")))
                    .param(&self.name(key)))
            }
            text => Ok(text),
        }
    }

    pub(super) fn integer(&self, key: &str) -> Outcome<Option<i64>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let refusal = || {
            let name = self.name(key);
            Refusal::invalid(format!("Invalid integer: {text}")).code("parameter_invalid_integer").param(&name)
        };
        text.parse().map(Some).map_err(|_| refusal())
    }

    pub(super) fn boolean(&self, key: &str) -> Outcome<Option<bool>> {
        match self.text(key)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Refusal::invalid(format!("Invalid boolean: {other}")).param(&self.name(key))),
        }
    }

    /// What is below a parameter, if anything.
    pub(super) fn below(&self, key: &str) -> Outcome<Option<Self>> {
        match self.fields.get(key) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self { fields: fields.clone(), within: self.name(key) })),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(_) => Err(Refusal::invalid(format!("Invalid object: {}", self.name(key))).param(&self.name(key))),
        }
    }

    /// A list of texts: `types[]=a&types[]=b`.
    pub(super) fn texts(&self, key: &str) -> Outcome<Vec<String>> {
        let wrong = || Refusal::invalid(format!("Invalid array: {}", self.name(key))).param(&self.name(key));
        match self.fields.get(key) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A list of forms: `items[0][price]=a&items[1][price]=b`.
    pub(super) fn forms(&self, key: &str) -> Outcome<Vec<Self>> {
        let wrong = || Refusal::invalid(format!("Invalid array: {}", self.name(key))).param(&self.name(key));
        let items = match self.fields.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wrong()),
        };
        let form = |(n, item): (usize, &Value)| match item {
            Value::Object(fields) => Ok(Self { fields: fields.clone(), within: format!("{}[{n}]", self.name(key)) }),
            _ => Err(wrong()),
        };
        items.iter().enumerate().map(form).collect()
    }

    /// Metadata onto what is there: an empty value takes a key away, an empty `metadata` all.
    pub(super) fn metadata(&self, object: &mut Value) -> Outcome<()> {
        if self.unset("metadata") {
            object["metadata"] = Value::Object(Map::new());
        }
        let Some(given) = self.below("metadata")? else { return Ok(()) };
        let kept = object["metadata"].as_object_mut().ok_or_else(Refusal::internal)?;
        for (key, value) in given.fields {
            match value.as_str() {
                Some("") => drop(kept.remove(&key)),
                Some(_) => drop(kept.insert(key, value)),
                None => return Err(Refusal::invalid("Invalid string in metadata").param("metadata")),
            }
        }
        Ok(())
    }

    /// Copies these texts onto the object as they were given; empty ones become null.
    pub(super) fn copy(&self, keys: &[&str], object: &mut Value) -> Outcome<()> {
        for key in keys {
            if self.unset(key) {
                object[*key] = Value::Null;
            } else if let Some(text) = self.text(key)? {
                object[*key] = text.into();
            }
        }
        Ok(())
    }

    fn name(&self, key: &str) -> String {
        if self.within.is_empty() { key.to_owned() } else { format!("{}[{key}]", self.within) }
    }
}

/// Lists are objects with numbers for keys until all is read. Nothing when a key is both a value
/// and an object.
fn insert(at: &mut Value, steps: &[&str], value: &str) -> Option<()> {
    let fields = at.as_object_mut()?;
    let (step, rest) = steps.split_first()?;
    let key = if step.is_empty() { format!("{:06}", fields.len()) } else { (*step).to_owned() };
    if rest.is_empty() {
        fields.insert(key, value.into());
        return Some(());
    }
    insert(fields.entry(key).or_insert_with(|| Value::Object(Map::new())), rest, value)
}

fn tidy(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let numbered = !fields.is_empty() && fields.keys().all(|key| key.parse::<usize>().is_ok());
    if !numbered {
        return Value::Object(fields.into_iter().map(|(key, value)| (key, tidy(value))).collect());
    }
    let mut items: Vec<(usize, Value)> =
        fields.into_iter().map(|(key, value)| (key.parse().unwrap_or(0), tidy(value))).collect();
    items.sort_by_key(|(n, _)| *n);
    Value::Array(items.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_nest_and_number() {
        let form = Form::parse("a=1&m[k]=v&l[]=x&l[]=y&i[1][p]=second&i[0][p]=first&e=").unwrap();
        assert_eq!(form.integer("a").unwrap(), Some(1));
        assert_eq!(form.below("m").unwrap().unwrap().text("k").unwrap(), Some("v"));
        assert_eq!(form.texts("l").unwrap(), ["x", "y"]);
        let items = form.forms("i").unwrap();
        assert_eq!(items[0].need("p").unwrap(), "first");
        assert_eq!(items[1].need("p").unwrap(), "second");
        assert!(form.unset("e") && form.text("e").unwrap().is_none());
    }

    #[test]
    fn a_message_names_the_parameter_as_it_was_written() {
        let form = Form::parse("items[0][quantity]=two").unwrap();
        let refusal = form.forms("items").unwrap()[0].integer("quantity").unwrap_err();
        assert_eq!(refusal.error["param"], "items[0][quantity]");
        let refusal = form.forms("items").unwrap()[0].need("price").unwrap_err();
        assert_eq!(refusal.error["param"], "items[0][price]");
    }

    #[test]
    fn a_value_that_is_also_an_object_is_refused() {
        assert!(Form::parse("a=1&a[b]=2").is_err());
    }
}
