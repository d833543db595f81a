package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
)

var errNotInstalled = errors.New("no PostgreSQL: set TEST_DATABASE_URL to a role that may create databases, " +
	"or install the server's programs (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql)")

// packaged is where distributions put the server's programs without putting
// them on PATH, one directory per version: Debian, Red Hat, Homebrew.
var packaged = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// findPrograms returns the directory that holds initdb and postgres: the first
// such on path, else the newest version under the patterns.
func findPrograms(path string, patterns []string) (string, error) {
	dirs := filepath.SplitList(path)
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("look for PostgreSQL in %s: %w", pattern, err)
		}
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		if isProgram(filepath.Join(dir, "initdb")) && isProgram(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", errNotInstalled
}

var versionInPath = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)

// version is the number in a directory's path, 0 without one.
func version(dir string) float64 {
	v, err := strconv.ParseFloat(versionInPath.FindString(dir), 64)
	if err != nil {
		return 0
	}
	return v
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// serverUser says as whom the server runs: as ourselves (nil), or, because
// PostgreSQL refuses to run as root, as the first of postgres and nobody.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("look up the user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}
