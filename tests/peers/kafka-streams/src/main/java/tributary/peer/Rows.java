package tributary.peer;

import java.nio.ByteBuffer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Makes the rows of one placement out of what was joined to it (placement, post, positions), and deletes those that it had
 * before and has no longer. A table of pairs cannot say which pairs are gone, so the ids of the positions are remembered.
 */
final class Rows implements Processor<Long, byte[], Bytes, byte[]> {
    static final String STORE = "written";
    private static final int POST = Layout.PLACEMENT;
    private static final int POSITIONS = POST + Layout.POST;
    private static final long[] NONE = {};

    private ProcessorContext<Bytes, byte[]> context;
    private KeyValueStore<Long, byte[]> written;

    @Override
    public void init(ProcessorContext<Bytes, byte[]> context) {
        this.context = context;
        written = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<Long, byte[]> record) {
        long placement = record.key();
        byte[] joined = record.value();
        long[] before = ids(written.get(placement), 0, Layout.ID);
        long[] now = ids(joined, POSITIONS, PositionsOfPost.ENTRY);
        for (long position : before) {
            if (!contains(now, position)) send(record, placement, position, null);
        }
        for (int i = 0; i < now.length; i++) {
            int at = POSITIONS + i * PositionsOfPost.ENTRY + Layout.ID;
            send(record, placement, now[i], Layout.row(placement, joined, POST, now[i], at));
        }
        if (!java.util.Arrays.equals(before, now)) remember(placement, now);
    }

    private void send(Record<Long, byte[]> cause, long placement, long position, byte[] row) {
        context.forward(new Record<>(Bytes.wrap(Layout.pairKey(placement, position)), row, cause.timestamp()));
    }

    private void remember(long placement, long[] positions) {
        if (positions.length == 0) {
            written.delete(placement);
            return;
        }
        ByteBuffer ids = ByteBuffer.allocate(positions.length * Layout.ID);
        for (long position : positions) ids.putLong(position);
        written.put(placement, ids.array());
    }

    /** The first eight bytes of every entry. */
    private static long[] ids(byte[] entries, int from, int entry) {
        if (entries == null) return NONE;
        ByteBuffer in = ByteBuffer.wrap(entries);
        long[] ids = new long[(entries.length - from) / entry];
        for (int i = 0; i < ids.length; i++) ids[i] = in.getLong(from + i * entry);
        return ids;
    }

    private static boolean contains(long[] ids, long id) {
        for (long candidate : ids) if (candidate == id) return true;
        return false;
    }
}
