use super::*;

#[test]
fn only_true_tickets_are_read() {
    let ticket = write("secret", "ann", Duration::from_secs(60));
    assert_eq!(read("secret", &ticket), Some("ann"));
    assert_eq!(read("another", &ticket), None);
    assert_eq!(read("secret", &ticket.replace("ann", "ben")), None);
    let old = write("secret", "ann", Duration::ZERO);
    assert_eq!(read("secret", &old), None);
    for text in ["", ".", "..", "ann", "ann.1", "ann.1.", "ann.1.ä"] {
        assert_eq!(read("secret", text), None, "{text}");
    }
}
