package tributary.peer;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** Where the fields lie in the values of the position join. Integers are big-endian, text is ASCII padded with spaces. */
final class Layout {
    static final int DPN = 24;
    static final int ID = 8;

    static final int POSITION = 120;
    static final int POST = 80;
    static final int PLACEMENT = 160;
    static final int ROW = 250;

    /** Where the DPN of positions and of placements begins. */
    private static final int DPN_AT = 2;

    private Layout() { }

    static boolean positionLives(byte[] value) { return value != null && value[1] != 'D'; }

    static boolean postLives(byte[] value) { return value != null && value[1] != 'D'; }

    static boolean placementLives(byte[] value) { return value != null && value[1] != 'X'; }

    /** The DPN of a position or placement. */
    static byte[] dpn(byte[] value) { return Arrays.copyOfRange(value, DPN_AT, DPN_AT + DPN); }

    /** The key of the row of a pair. */
    static byte[] pairKey(long placement, long position) {
        return ByteBuffer.allocate(2 * ID).putLong(placement).putLong(position).array();
    }

    /**
     * The row of a pair. Everything is read where it lies: the placement at the start of {@code joined}, the post and the
     * position at their places in it.
     */
    static byte[] row(long placementId, byte[] joined, int post, long positionId, int position) {
        ByteBuffer in = ByteBuffer.wrap(joined);
        long changed = Math.max(in.getLong(58), Math.max(in.getLong(post + 14), in.getLong(position + 41)));
        return ByteBuffer.allocate(ROW)
            .put((byte) 1).put(joined[post + 1])
            .put(joined, DPN_AT, DPN)
            .putLong(positionId)
            .put(joined, position + 29, 8)
            .put(joined, position + 26, 3)
            .put(joined[1])
            .putLong(placementId)
            .put(joined, 26, 28) // trainee, start, end, site, grade
            .put(joined, post + 2, 8)
            .put(joined, position + 37, 4)
            .put(joined, post + 10, 4)
            .put(joined, 54, 4)
            .putLong(changed)
            .put(joined, position + 49, 71)
            .put(joined, post + 22, 58)
            .put(joined, 66, 11)
            .array();
    }
}
