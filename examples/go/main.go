// Search by meaning in Go, with github.com/mattn/go-sqlite3 (which needs cgo and a C compiler).
//
//	go run . path/to/libbge.so
//
// makes a small index and searches it. With texts after the path it prints the vector of each.
package main

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/mattn/go-sqlite3"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: go run . path/to/libbge.so [TEXT...]")
	}
	// A driver under a name of our own: every connection that it opens loads the extension.
	sql.Register("sqlite3_bge", &sqlite3.SQLiteDriver{Extensions: []string{os.Args[1]}})
	db, err := sql.Open("sqlite3_bge", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // every connection to :memory: is a database of its own

	if texts := os.Args[2:]; len(texts) > 0 {
		err = printVectors(db, texts)
	} else {
		err = search(db)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func search(db *sql.DB) error {
	_, err := db.Exec(`
		CREATE TABLE pages(id INTEGER PRIMARY KEY, title TEXT, body TEXT);
		CREATE VIRTUAL TABLE pages_bge USING bge(title, body, content='pages');
		INSERT INTO pages(title, body) VALUES
			('Router', 'Hold the small button for ten seconds to restore the factory settings.'),
			('Invoice', 'You can download last month''s bill from the payments page.'),
			('Holidays', 'Requests for days off go to your team lead two weeks ahead.');
	`)
	if err != nil {
		return err
	}
	// Triggers note what changes in the table; this embeds it.
	var embedded int
	if err := db.QueryRow("SELECT bge_sync('pages_bge')").Scan(&embedded); err != nil {
		return err
	}
	rows, err := db.Query(`
		SELECT p.title, s.score FROM pages_bge(?) AS s JOIN pages AS p ON p.id = s.rowid
		ORDER BY s.distance LIMIT 2`, "how do I reset my device?")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var title string
		var score float64
		if err := rows.Scan(&title, &score); err != nil {
			return err
		}
		fmt.Printf("%s %.2f\n", title, score)
	}
	return rows.Err()
}

func printVectors(db *sql.DB, texts []string) error {
	for _, text := range texts {
		var blob []byte
		if err := db.QueryRow("SELECT bge_embed(?)", text).Scan(&blob); err != nil {
			return err
		}
		// A vector is a BLOB of little-endian 32-bit floats.
		vector := make([]float32, len(blob)/4)
		if _, err := binary.Decode(blob, binary.LittleEndian, vector); err != nil {
			return err
		}
		line, err := json.Marshal(vector)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	return nil
}
