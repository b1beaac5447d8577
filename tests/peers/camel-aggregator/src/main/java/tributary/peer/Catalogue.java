package tributary.peer;

import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.apache.camel.util.json.JsonArray;
import org.apache.camel.util.json.JsonObject;
import org.apache.camel.util.json.Jsoner;

/** Who may ask whom for what, and where there is a route: the same file as Tributary reads. */
final class Catalogue {
    private final Set<String> routes = new HashSet<>();
    private final Set<String> permissions = new HashSet<>();

    Catalogue(Path file) throws Exception {
        try (Reader reader = Files.newBufferedReader(file)) {
            JsonObject all = (JsonObject) Jsoner.deserialize(reader);
            for (Object one : (JsonArray) all.get("routes")) {
                JsonObject route = (JsonObject) one;
                routes.add(route.get("contract") + " " + route.get("receiver"));
            }
            for (Object one : (JsonArray) all.get("permissions")) {
                JsonObject permission = (JsonObject) one;
                permissions.add(permission.get("contract") + " " + permission.get("receiver") + " "
                        + permission.get("sender"));
            }
        }
    }

    boolean allows(String contract, String receiver, String... senders) {
        return holds(routes, contract, receiver, "") && Arrays.stream(senders)
                .anyMatch(sender -> sender != null && holds(permissions, contract, receiver, " " + sender));
    }

    private static boolean holds(Set<String> entries, String contract, String receiver, String rest) {
        return entries.contains(contract + " " + receiver + rest) || entries.contains(contract + " *" + rest);
    }
}
