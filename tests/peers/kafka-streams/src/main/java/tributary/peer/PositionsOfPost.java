package tributary.peer;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** The positions at one DPN as one value: an id and a position each, in the order in which they came. */
final class PositionsOfPost {
    static final int ENTRY = Layout.ID + Layout.POSITION;

    private PositionsOfPost() { }

    static byte[] entry(long id, byte[] position) { return ByteBuffer.allocate(ENTRY).putLong(id).put(position).array(); }

    /** Adds an entry, or puts it in the place of the one with the same id. */
    static byte[] with(byte[] entries, byte[] entry) {
        int at = find(entries, entry);
        byte[] result = Arrays.copyOf(entries, Math.max(entries.length, at + ENTRY));
        System.arraycopy(entry, 0, result, at, ENTRY);
        return result;
    }

    /** Removes the entry with the same id; nothing left is null, so that no empty value stays behind. */
    static byte[] without(byte[] entries, byte[] entry) {
        int at = find(entries, entry);
        if (at == entries.length) return entries;
        if (entries.length == ENTRY) return null;
        byte[] result = Arrays.copyOf(entries, entries.length - ENTRY);
        System.arraycopy(entries, at + ENTRY, result, at, result.length - at);
        return result;
    }

    /** Where the entry with this id is, or the end. */
    private static int find(byte[] entries, byte[] entry) {
        int at = 0;
        while (at < entries.length && !Arrays.equals(entries, at, at + Layout.ID, entry, 0, Layout.ID)) at += ENTRY;
        return at;
    }
}
