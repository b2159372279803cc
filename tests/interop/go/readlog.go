// readlog judges Tidemark's log with the packages that Go's own checksum database is read with: golang.org/x/mod's
// sumdb/note opens the checkpoint, sumdb/tlog reads the tiles and checks the proofs. Nothing here computes a tree.
//
//	readlog tree URL KEY [OLDER]       the log served at URL, and that it extends the checkpoint in the file OLDER
//	readlog proof KEY RECORD PROOF     a record's bytes and its tlog-proof, without any server
//
// TD_TOKEN in the environment is sent as a bearer token. What is wrong goes to standard error, with exit code 1.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height   = 8   // of a tile
	leafSize = 128 // of a Sigsum leaf
	bodyMax  = 1 << 20
)

// server fetches below one address and remembers the tiles, as a mirror would. It is tlog's TileReader.
type server struct {
	url    string
	client http.Client
	tiles  map[string][]byte
}

func (s *server) fetch(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", s.url+path, nil)
	if err != nil {
		return nil, err
	}
	if token := os.Getenv("TD_TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, bodyMax))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return data, err
}

func (s *server) Height() int { return height }

// path is C2SP's: without the height that Go's own database has in front, and "entries" for "data".
func path(tile tlog.Tile) string {
	return "/tile/" + strings.Replace(strings.TrimPrefix(tile.Path(), "tile/8/"), "data/", "entries/", 1)
}

func (s *server) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, known := s.tiles[path(tile)]
		if !known {
			var err error
			if data, err = s.fetch(path(tile)); err != nil {
				return nil, err
			}
		}
		all = append(all, data)
	}
	return all, nil
}

// SaveTiles is called with tiles that lead to the signed root, and with no others.
func (s *server) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, tile := range tiles {
		s.tiles[path(tile)] = data[i]
	}
}

// open checks the note's signature and reads origin, size and root.
func open(text []byte, verifier note.Verifier) (tlog.Tree, error) {
	var tree tlog.Tree
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tree, errors.New("the note is no checkpoint of " + verifier.Name())
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

// leaves reads the entries that a tree of n records has, each behind its length.
func (s *server) leaves(n int64) ([][]byte, error) {
	var all [][]byte
	for at := int64(0); at < n; at += 1 << height {
		tile := tlog.Tile{H: height, L: -1, N: at >> height, W: 1 << height}
		if n-at < int64(tile.W) {
			tile.W = int(n - at)
		}
		data, err := s.fetch(path(tile))
		if err != nil {
			return nil, err
		}
		for ; len(data) >= 2+leafSize && binary.BigEndian.Uint16(data) == leafSize; data = data[2+leafSize:] {
			all = append(all, data[2:2+leafSize])
		}
		if len(data) != 0 || int64(len(all)) != at+int64(tile.W) {
			return nil, fmt.Errorf("%s does not hold %d leaves", path(tile), tile.W)
		}
	}
	return all, nil
}

// checkRecords proves each leaf to be where it is: its stored hash, and an inclusion proof made of the tiles.
func checkRecords(tree tlog.Tree, leaves [][]byte, reader tlog.HashReader) error {
	for i, leaf := range leaves {
		hash := tlog.RecordHash(leaf)
		stored, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(i))})
		if err != nil {
			return err
		}
		if stored[0] != hash {
			return fmt.Errorf("leaf %d has another hash than its tile says", i)
		}
		proof, err := tlog.ProveRecord(tree.N, int64(i), reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(i), hash); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		if tlog.CheckRecord(proof, tree.N, tree.Hash, int64(i), tlog.RecordHash(append([]byte{0}, leaf...))) == nil {
			return fmt.Errorf("leaf %d: the proof holds for any leaf", i)
		}
	}
	return nil
}

func checkOlder(file string, verifier note.Verifier, tree tlog.Tree, reader tlog.HashReader) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	older, err := open(text, verifier)
	if err != nil {
		return fmt.Errorf("the older checkpoint: %w", err)
	}
	proof, err := tlog.ProveTree(tree.N, older.N, reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash); err != nil {
		return fmt.Errorf("the log does not extend the older checkpoint of %d records: %w", older.N, err)
	}
	fmt.Printf("extends %d records: CheckTree with %d hashes\n", older.N, len(proof))
	return nil
}

func readTree(url string, verifier note.Verifier, older []string) error {
	s := &server{url: url, client: http.Client{Timeout: 30 * time.Second}, tiles: map[string][]byte{}}
	text, err := s.fetch("/checkpoint")
	if err != nil {
		return err
	}
	tree, err := open(text, verifier)
	if err != nil {
		return fmt.Errorf("the checkpoint: %w", err)
	}
	reader := tlog.TileHashReader(tree, s)
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return errors.New("the tiles lead to another root than was signed")
	}
	leaves, err := s.leaves(tree.N)
	if err != nil {
		return err
	}
	if err := checkRecords(tree, leaves, reader); err != nil {
		return err
	}
	fmt.Printf("%d of %d records: hash and CheckRecord, from %d tiles\n", len(leaves), tree.N, len(s.tiles))
	for _, file := range older {
		if err := checkOlder(file, verifier, tree, reader); err != nil {
			return err
		}
	}
	return nil
}

// readProof checks what `tidemark audit proof` printed (C2SP tlog-proof) for a record's bytes.
func readProof(verifier note.Verifier, record, text []byte) error {
	head, signed, _ := bytes.Cut(text, []byte("\n\n"))
	tree, err := open(signed, verifier)
	if err != nil {
		return fmt.Errorf("the proof's checkpoint: %w", err)
	}
	lines := strings.Split(string(head), "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		return errors.New("no tlog-proof with an extra line")
	}
	extra, err := base64.StdEncoding.DecodeString(lines[1][len("extra "):])
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(lines[2][len("index "):], 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	message := sha256.Sum256(record)
	checksum := sha256.Sum256(message[:])
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(append(checksum[:], extra...))); err != nil {
		return err
	}
	fmt.Printf("record %d of %d: CheckRecord with %d hashes\n", index, tree.N, len(proof))
	return nil
}

func run(arguments []string) error {
	if len(arguments) < 3 {
		return errors.New("usage: readlog tree URL KEY [OLDER] | readlog proof KEY RECORD PROOF")
	}
	at := map[string]int{"tree": 2, "proof": 1}[arguments[0]]
	key, err := os.ReadFile(arguments[at])
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return err
	}
	if arguments[0] == "tree" {
		return readTree(arguments[1], verifier, arguments[3:])
	}
	record, err := os.ReadFile(arguments[2])
	if err != nil {
		return err
	}
	proof, err := os.ReadFile(arguments[3])
	if err != nil {
		return err
	}
	return readProof(verifier, record, proof)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "readlog:", err)
		os.Exit(1)
	}
}
