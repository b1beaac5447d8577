package tributary.peer;

import java.net.URI;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** The command line. */
record Settings(int port, String producers, String index, Path catalogue, int threads, long timeout) {
    static Settings of(String[] arguments) {
        Map<String, String> given = new HashMap<>();
        for (int at = 0; at + 1 < arguments.length; at += 2) {
            given.put(arguments[at], arguments[at + 1]);
        }
        String producers = URI.create(given.get("--producers")).toString();
        return new Settings(
                Integer.parseInt(given.getOrDefault("--port", "0")),
                producers,
                given.getOrDefault("--index", producers),
                Path.of(given.get("--tak")),
                Integer.parseInt(given.getOrDefault("--threads", "400")),
                Long.parseLong(given.getOrDefault("--timeout-ms", "28000")));
    }
}
