"""We as a holder of data: what our customers let other banks read here (Open Finance Brasil: consents 3,
resources 3, accounts 2), read-only, by their own yes in our app, for as long as they leave it standing."""
