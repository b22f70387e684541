"""The dashboard: the room on a page that a technician opens on a phone, served by `roomful dashboard` on a machine of the room.

    words.py     the operator's word, and the one that only lets look
    doors.py     who is let in, and what each may: proofs, Host, Origin, guesses
    bounds.py    how many may stand at the port, how often they may ask, for how long
    watching.py  the room as it is now, asked while somebody looks
    orders.py    what the page can order
    server.py    the page, the live line, the orders
    page/        what the phone draws

Who does not know a word gets a page that asks for one, and nothing of the room: not its name, not whether it plays. A gallery's
network is shared with visitors, and a closed room tells strangers nothing. Staff are given the word that only lets look, so that
nobody's phone that shows the room's health can also switch it off.

No word ever crosses the network. The page is plain HTTP, since no browser trusts a certificate that an offline room made for itself,
and whoever listens on a gallery's Wi-Fi would read a password or a cookie. So every question carries a proof (HMAC-SHA-256 under the
word) over a number that the server gave out, is used once and holds for a minute, over the path and over the order's text: who
listens sees what the page shows, and can order nothing; nor is there a cookie that another page could use. Who can change what passes
by (not only hear it) could give the phone another page, and it is said so in the README. Decided against: a cookie (above), a
certificate of our own (a warning that staff would learn to click away), and a WebSocket (orders are rare and want an answer each; the
live line is one answer that goes on).
"""
