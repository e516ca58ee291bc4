//! A cron pattern as pm2's library reads it, spelled out for ours.
//!
//! Owns: what `/5`, `1/5`, `1,`, `?`, names and Sunday as 7 stand for (recorded from croner 4.1.97, see
//! `pattern/vectors.json`). `?` is any day here; pm2 takes it for the day on which the app was started, and hangs at
//! `/5`. Must never: know what time it is.

/// From seconds to weekdays: lowest and highest value, and the names that stand for numbers.
const FIELDS: [(u32, u32, &[&str]); 6] = [
    (0, 59, &[]),
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];
const DAYS: usize = 3;
const MONTHS: usize = 4;
const WEEKDAYS: usize = 5;

/// The same pattern with six fields, each `*`, `L` or a list of numbers. `None`: no pattern.
pub(super) fn spelled_out(pattern: &str) -> Option<String> {
    let entries: Vec<&str> = pattern.split_whitespace().collect();
    let mut fields = match entries.len() {
        5 => vec!["0".to_owned()],
        6 => Vec::new(),
        _ => return None,
    };
    for (position, entry) in (6 - entries.len()..).zip(entries) {
        fields.push(field(position, entry)?);
    }
    Some(fields.join(" "))
}

fn field(position: usize, entry: &str) -> Option<String> {
    if entry == "*" || entry == "?" {
        return Some("*".to_owned());
    }
    if position == DAYS && entry.eq_ignore_ascii_case("L") {
        return Some("L".to_owned());
    }
    let (low, high, names) = FIELDS.get(position).copied()?;
    let mut text = entry.to_lowercase();
    for (index, name) in names.iter().enumerate() {
        let value = if position == MONTHS { index + 1 } else { index };
        text = text.replace(name, &value.to_string());
    }
    let mut numbers: Vec<u32> = Vec::new();
    // `1,` is 1.
    for part in text.split(',').filter(|part| !part.is_empty()) {
        numbers.extend(part_of(part, low, high)?);
    }
    if position == WEEKDAYS {
        for day in &mut numbers {
            *day %= 7;
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn part_of(part: &str, low: u32, high: u32) -> Option<Vec<u32>> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|step| *step > 0)?)),
        None => (part, None),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
        None if range == "*" => (low, high),
        None => {
            let number = if range.is_empty() { 0 } else { range.parse().ok()? };
            (number, if step.is_some() { high } else { number })
        }
    };
    let fits = (low..=high).contains(&first) && (low..=high).contains(&last) && first <= last;
    fits.then(|| (first..=last).step_by(step.unwrap_or(1)).collect())
}

#[cfg(test)]
mod tests;
