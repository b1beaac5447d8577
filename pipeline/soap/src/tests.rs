//! What is taken as a message, and what is refused.

use super::*;

fn read(text: &str) -> Result<Message, SoapError> {
    Message::read(text.as_bytes().to_vec(), None, 1 << 20, &[Name::new("u", "row")])
}

fn body(inside: &str) -> Result<Message, SoapError> {
    read(&format!("<s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Body>{inside}</s:Body></s:Envelope>"))
}

#[test]
fn header_blocks_the_body_and_its_rows_are_found() {
    let text = format!(
        "<?xml version='1.0'?><!-- a --><s:Envelope xmlns:s='{ENVELOPE}' xmlns:u=\"u\">\n<s:Header>\
         <r:LogicalAddress xmlns:r='{REGISTRY}'> HSA-1 </r:LogicalAddress><u:Actor>x</u:Actor></s:Header>\
         <s:Body> <u:r><u:row/>text<other/><row xmlns='u' a='1'>2</row></u:r> </s:Body></s:Envelope>\n"
    );
    let message = read(&text).unwrap();
    assert_eq!(message.name(), &Name::new("u", "r"));
    assert_eq!(message.logical_address().as_deref(), Some(" HSA-1 "));
    let mut out = String::new();
    message.other_headers().for_each(|header| header.splice(&mut out, &Scope::of_envelope()));
    assert_eq!(out, format!("<u:Actor xmlns:s=\"{ENVELOPE}\" xmlns:u=\"u\">x</u:Actor>"));
    out.clear();
    splice_all(message.rows(0), &mut out, message.row_scope());
    assert_eq!(out, "<u:row/><row xmlns='u' a='1'>2</row>");
    assert_eq!((message.row_count(), message.rows(1).count()), (2, 0));
    assert_eq!(message.fault(), None);
}

#[test]
fn what_surrounds_the_body_is_checked() {
    let open = format!("<s:Envelope xmlns:s='{ENVELOPE}'>");
    for (text, expected) in [
        (format!("{open}<s:Body><a/></s:Body></s:Envelope><b/>"), SoapError::Malformed("a second root element", 98)),
        (
            format!("{open}<s:Body><a/></s:Body></s:Envelope>x"),
            SoapError::Malformed("text outside of the root element", 98),
        ),
        (format!("{open}<s:Body><a/></s:Body></s:Envelop>"), SoapError::Malformed("an end tag that does not fit", 85)),
        (format!("{open}<s:Body><a/></s:Body>"), SoapError::Truncated),
        (format!("{open}<s:Body><a/></s:Bo"), SoapError::Malformed("a tag or comment that does not end", 76)),
        (format!("{open}<s:Body><a/><b/></s:Body></s:Envelope>"), SoapError::Envelope("a second element in its body")),
        (format!("{open}<s:Body><a/></s:Body><b/></s:Envelope>"), SoapError::Envelope("an element after its body")),
        (format!("{open}<s:Body> </s:Body></s:Envelope>"), SoapError::Envelope("an empty body")),
        (format!("{open}<s:Header/></s:Envelope>"), SoapError::Envelope("no body")),
        (
            format!("{open}<b/><s:Body><a/></s:Body></s:Envelope>"),
            SoapError::Envelope("another element where the body is expected"),
        ),
        (open.replace(ENVELOPE, ENVELOPE_1_2) + "<s:Body><a/></s:Body></s:Envelope>", SoapError::Version12),
        ("<a/>".to_owned(), SoapError::NoEnvelope),
        ("<!-- a -->".to_owned(), SoapError::NoEnvelope),
        (String::new(), SoapError::Empty),
        (format!("<!DOCTYPE a>{open}<s:Body><a/></s:Body></s:Envelope>"), SoapError::Doctype),
        ("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>".to_owned(), SoapError::Doctype),
    ] {
        assert_eq!(read(&text).map(|_| ()), Err(expected), "{text}");
    }
}

#[test]
fn whatever_a_strict_reader_would_refuse_is_refused() {
    for inside in [
        "<a b='1' b='2'/>",
        "<a b='1'c='2'/>",
        "<a b=1/>",
        "<a b/>",
        "<a b='<'/>",
        "<a b='&x;'/>",
        "<a b='&'/>",
        "<a>&undefined;</a>",
        "<a>& </a>",
        "<a>&#0;</a>",
        "<a>&#x1F;</a>",
        "<a>&#xD800;</a>",
        "<a>&#+65;</a>",
        "<a>]]></a>",
        "<a>\u{1}</a>",
        "<a>\u{FFFF}</a>",
        "<a><!-- -- --></a>",
        "<a><?xml version='1.0'?></a>",
        "<a><? x?></a>",
        "<1a/>",
        "<a:b:c xmlns:a='u'/>",
        "<p:a/>",
        "<a p:b='1'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:xmlns='u'/>",
        "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
        "<a><b></a></b>",
        "<a",
        "<a><![CDATA[</a>",
    ] {
        let error = body(inside).map(|_| ()).unwrap_err();
        assert!(matches!(error, SoapError::Malformed(..) | SoapError::UndefinedEntity(_)), "{inside}: {error}");
        assert!(!error.to_string().contains("undefined;"), "{error}");
    }
    let many = (0..300).map(|number| number.to_string()).collect::<Vec<_>>().join("='' a");
    assert!(body(&format!("<a a{many}=''/>")).is_err());
    for inside in
        ["<a>&lt;&#65;&#x10FFFF;<![CDATA[&x;]]></a>", "<å.ä-1 xml:lang='sv'/>", "<a xmlns='u' b=\"'\" c = '\"' />"]
    {
        assert_eq!(body(inside).map(|_| ()), Ok(()), "{inside}");
    }
}

#[test]
fn sizes_depths_and_declarations_have_limits() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert_eq!(body(&nested(DEEPEST - 2)).map(|_| ()), Ok(()));
    assert_eq!(body(&nested(DEEPEST - 1)).map(|_| ()), Err(SoapError::TooDeep));
    let text = b"<a/>".to_vec();
    assert_eq!(Message::read(text, None, 3, &[]).map(|_| ()), Err(SoapError::TooLarge(3)));
    let rows = format!("<a xmlns='u' xmlns:p='{}'>{}</a>", "x".repeat(1000), "<row/>".repeat(8000));
    assert_eq!(body(&rows).map(|_| ()), Err(SoapError::Declarations(4 << 20)));
}

#[test]
fn a_fault_is_read_and_written() {
    let inside =
        "<s:Fault><faultcode>s:Server</faultcode><faultstring>VP009 &lt;åäö&gt;</faultstring><detail/></s:Fault>";
    let fault = body(inside).unwrap().fault().unwrap();
    assert_eq!(fault, Fault::new(FaultCode::Server, "VP009 <åäö>"));
    assert_eq!(read(&fault.write()).unwrap().fault(), Some(fault.clone()));
    assert_eq!(format!("{fault:?}"), "Fault(Server, 11 characters)");
}

#[test]
fn debug_shows_nothing_of_a_message() {
    let shown = format!("{:?}", body("<a b='191212121212'>191212121212</a>").unwrap());
    assert!(shown.starts_with("Message({}a, ") && !shown.contains("1912"), "{shown}");
}
