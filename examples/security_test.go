package examples_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testsOf are the tests and fuzz targets of a package, by its folder.
func testsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && len(f.Type.Params.List) == 1 && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}

// threats are the rows of the table in SECURITY.md: threat, places, proofs.
func threats(t *testing.T) (rows [][3]string, groups int) {
	t.Helper()
	text, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		if line == "| Threat | Stopped in | Proof |" {
			inside = true
			continue
		}
		if !inside || strings.HasPrefix(line, "| ---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 {
			t.Errorf("%d cells: %s", len(cells), line)
			continue
		}
		row := [3]string{strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])}
		if strings.HasPrefix(row[0], "**") && row[1] == "" && row[2] == "" {
			groups++
			continue
		}
		rows = append(rows, row)
	}
	return rows, groups
}

// TestSecurityTable checks that each threat is stopped in a package that is there
// and proven by tests that are there.
func TestSecurityTable(t *testing.T) {
	t.Parallel()
	rows, groups := threats(t)
	if len(rows) < 70 || groups != 8 {
		t.Fatalf("%d rows in %d groups", len(rows), groups)
	}
	place := regexp.MustCompile("^`([a-z0-9/]+)`$")
	proof := regexp.MustCompile("^`([a-z0-9/]+)`: ((?:Test|Fuzz)[A-Za-z0-9]+(?:, (?:Test|Fuzz)[A-Za-z0-9]+)*)$")
	known := map[string]map[string]bool{}
	seen := map[string]bool{}
	for _, row := range rows {
		if row[0] == "" || seen[row[0]] {
			t.Errorf("a threat without a name, or twice: %q", row[0])
		}
		seen[row[0]] = true
		for p := range strings.SplitSeq(row[1], ", ") {
			m := place.FindStringSubmatch(p)
			if m == nil {
				t.Errorf("%s: %q names no package", row[0], p)
				continue
			}
			files, err := filepath.Glob(filepath.Join("..", m[1], "*.go"))
			if err != nil || !slices.ContainsFunc(files, func(f string) bool { return !strings.HasSuffix(f, "_test.go") }) {
				t.Errorf("%s: there is no package %s", row[0], m[1])
			}
		}
		for p := range strings.SplitSeq(row[2], "; ") {
			m := proof.FindStringSubmatch(p)
			if m == nil {
				t.Errorf("%s: %q names no tests", row[0], p)
				continue
			}
			if known[m[1]] == nil {
				known[m[1]] = testsOf(t, m[1])
			}
			for name := range strings.SplitSeq(m[2], ", ") {
				if !known[m[1]][name] {
					t.Errorf("%s: there is no %s in %s", row[0], name, m[1])
				}
			}
		}
	}
}

// TestAttacksHaveTests looks for a test that names each attack on the sending
// side: headers, floods, hostile answers. A-HDR-19 is about pages that are not
// built yet.
func TestAttacksHaveTests(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile(`A-?(HDR|FLOOD|RESP)-?([0-9]{2})`)
	named := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "security_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range row.FindAllSubmatch(text, -1) {
			named[string(m[1])+string(m[2])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []struct {
		name        string
		first, last int
	}{{"HDR", 11, 20}, {"FLOOD", 16, 24}, {"RESP", 1, 48}} {
		for n := group.first; n <= group.last; n++ {
			id := group.name + string([]byte{byte('0' + n/10), byte('0' + n%10)})
			if !named[id] && id != "HDR19" {
				t.Errorf("no test names %s", id)
			}
		}
	}
}
