//! The texts of elements along a path of local names.

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::tag;

/// The texts of all elements that a path of local names leads to, below the one element of a well-formed text. An
/// empty path is that element itself. The text of an element is its own: that of elements inside it does not belong to
/// it.
pub(super) fn along(text: &str, path: &[String]) -> Vec<String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut found: Vec<String> = Vec::new();
    // The number of open elements, and how many of them, from the outermost, are on the path.
    let (mut depth, mut matched) = (0_usize, 0_usize);
    let wanted = path.len() + 1;
    loop {
        let here = depth == wanted && matched == wanted;
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                let fits = match depth.checked_sub(1) {
                    None => true,
                    Some(index) => path.get(index).is_some_and(|name| name == start.local_name().into_inner()),
                };
                if matched == depth && fits {
                    matched += 1;
                    if matched == wanted {
                        found.push(String::new());
                    }
                }
                depth += 1;
            }
            Ok(Event::End(_)) => {
                depth = depth.saturating_sub(1);
                matched = matched.min(depth);
            }
            Ok(Event::Text(text)) if here => push(&mut found, &text.xml10_content()),
            Ok(Event::CData(text)) if here => push(&mut found, &text.xml10_content()),
            Ok(Event::GeneralRef(reference)) if here => {
                if let Ok(letter) = tag::referred(&reference) {
                    push(&mut found, letter.encode_utf8(&mut [0; 4]));
                }
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

fn push(found: &mut [String], text: &str) {
    if let Some(last) = found.last_mut() {
        last.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_texts_of_all_its_elements() {
        let text = "<r>x<p:a xmlns:p='u'><b>1</b><c><b>no</b></c><b>2&amp;<!-- -->&#51;<i>no</i><![CDATA[<4]]></b>\
                    </p:a>\
                    <b>no</b><a><b/></a></r>";
        let path = ["a".to_owned(), "b".to_owned()];
        assert_eq!(along(text, &path), ["1", "2&3<4", ""]);
        assert_eq!(along(text, &[]), ["x"]);
        assert!(along(text, &["r".to_owned()]).is_empty());
    }
}
