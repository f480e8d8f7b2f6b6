//go:build tools

// Package tools names the program that `make .tools/bin/actionlint` builds, so that go.mod and go.sum pin it.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
