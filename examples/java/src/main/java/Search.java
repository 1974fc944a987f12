import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Locale;
import org.sqlite.SQLiteConfig;

/**
 * Search by meaning in Java, with sqlite-jdbc.
 *
 * <p>{@code java Search path/to/libbge.so} makes a small index and searches it. With texts after the
 * path it prints the vector of each.
 */
public class Search {
    public static void main(String[] arguments) throws SQLException {
        if (arguments.length == 0) {
            System.err.println("usage: java Search path/to/libbge.so [TEXT...]");
            System.exit(2);
        }
        try (Connection db = connect("jdbc:sqlite::memory:", arguments[0])) {
            if (arguments.length == 1) search(db);
            for (int i = 1; i < arguments.length; i++) {
                System.out.println(Arrays.toString(vector(db, arguments[i])));
            }
        }
    }

    /** Opens a connection with the extension. Loading is allowed when it is opened, and done in SQL. */
    static Connection connect(String url, String library) throws SQLException {
        SQLiteConfig config = new SQLiteConfig();
        config.enableLoadExtension(true);
        Connection db = DriverManager.getConnection(url, config.toProperties());
        try (PreparedStatement load = db.prepareStatement("SELECT load_extension(?)")) {
            load.setString(1, library);
            load.execute();
        }
        return db;
    }

    static void search(Connection db) throws SQLException {
        try (Statement statement = db.createStatement()) {
            statement.executeUpdate("CREATE TABLE pages(id INTEGER PRIMARY KEY, title TEXT, body TEXT)");
            statement.executeUpdate("CREATE VIRTUAL TABLE pages_bge USING bge(title, body, content='pages')");
            statement.executeUpdate("""
                INSERT INTO pages(title, body) VALUES
                  ('Router', 'Hold the small button for ten seconds to restore the factory settings.'),
                  ('Invoice', 'You can download last month''s bill from the payments page.'),
                  ('Holidays', 'Requests for days off go to your team lead two weeks ahead.')""");
            // Triggers note what changes in the table; this embeds it.
            statement.execute("SELECT bge_sync('pages_bge')");
        }
        String nearest = """
            SELECT p.title, s.score FROM pages_bge(?) AS s JOIN pages AS p ON p.id = s.rowid
            ORDER BY s.distance LIMIT 2""";
        try (PreparedStatement statement = db.prepareStatement(nearest)) {
            statement.setString(1, "how do I reset my device?");
            ResultSet rows = statement.executeQuery();
            while (rows.next()) {
                System.out.printf(Locale.ROOT, "%s %.2f%n", rows.getString("title"), rows.getDouble("score"));
            }
        }
    }

    /** A vector is a BLOB of little-endian 32-bit floats. */
    static float[] vector(Connection db, String text) throws SQLException {
        try (PreparedStatement statement = db.prepareStatement("SELECT bge_embed(?)")) {
            statement.setString(1, text);
            byte[] blob = statement.executeQuery().getBytes(1);
            float[] vector = new float[blob.length / Float.BYTES];
            ByteBuffer.wrap(blob).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(vector);
            return vector;
        }
    }
}
