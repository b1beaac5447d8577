package tributary.peer;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TableJoined;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The position join on Kafka Streams. See README.md for why it is built like this. */
public final class PositionJoin {
    private static final Serde<Long> ID = Serdes.Long();
    private static final Serde<Bytes> KEY = Serdes.Bytes();
    private static final Serde<byte[]> VALUE = Serdes.ByteArray();

    private PositionJoin() { }

    public static void main(String[] arguments) throws InterruptedException {
        Map<String, String> options = options(arguments);
        String namespace = options.getOrDefault("namespace", "");
        String prefix = namespace.isEmpty() ? "" : namespace + ".";
        Properties config = config(options, prefix);
        KafkaStreams streams = new KafkaStreams(topology(prefix, options.getOrDefault("store", "inmem")).build(config), config);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            System.out.println("STATE " + now + " " + System.currentTimeMillis());
            if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) ended.countDown();
        });
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(30))));
        System.out.println("START " + System.currentTimeMillis());
        streams.start();
        ended.await();
    }

    private static Map<String, String> options(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) options.put(arguments[i].substring(2), arguments[i + 1]);
        return options;
    }

    private static Properties config(Map<String, String> options, String prefix) {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "position-join-peer");
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.getOrDefault("kafka", "127.0.0.1:9092"));
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, options.getOrDefault("commit-ms", "100"));
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, options.getOrDefault("threads", "2"));
        config.put(StreamsConfig.STATE_DIR_CONFIG, options.getOrDefault("state", "target/state"));
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0");
        config.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
        boolean inMemory = options.getOrDefault("store", "inmem").equals("inmem");
        config.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG, inMemory
            ? BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers.class
            : BuiltInDslStoreSuppliers.RocksDBDslStoreSuppliers.class);
        // The foreign-key join has topics of its own, and takes these for them.
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.BytesSerde.class);
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        config.put("auto.offset.reset", "earliest");
        config.put(StreamsConfig.consumerPrefix("group.instance.id"), prefix + "position-join-peer-1");
        config.put(StreamsConfig.consumerPrefix("max.partition.fetch.bytes"), "4194304");
        config.put(StreamsConfig.consumerPrefix("receive.buffer.bytes"), "1048576");
        config.put(StreamsConfig.mainConsumerPrefix("max.poll.records"), "5000");
        config.put(StreamsConfig.mainConsumerPrefix("fetch.max.wait.ms"), "20");
        config.put(StreamsConfig.producerPrefix("linger.ms"), options.getOrDefault("linger-ms", "100"));
        config.put(StreamsConfig.producerPrefix("batch.size"), "262144");
        config.put(StreamsConfig.producerPrefix("buffer.memory"), "134217728");
        return config;
    }

    /** A builder that gets the configuration when it builds: without it the topology would not be optimised. */
    private record Built(StreamsBuilder builder) {
        Topology build(Properties config) { return builder.build(config); }
    }

    private static Built topology(String prefix, String store) {
        StreamsBuilder builder = new StreamsBuilder();
        KTable<Long, byte[]> positions = builder.table(prefix + "positions", Consumed.with(ID, VALUE), named("positions", ID));
        KTable<Bytes, byte[]> posts = builder.table(prefix + "posts", Consumed.with(KEY, VALUE), named("posts", KEY));
        KTable<Long, byte[]> placements = builder.table(prefix + "placements", Consumed.with(ID, VALUE), named("placements", ID));

        KTable<Bytes, byte[]> positionsOfPost = positions
            .filter((id, position) -> Layout.positionLives(position))
            .groupBy(
                (id, position) -> KeyValue.pair(Bytes.wrap(Layout.dpn(position)), PositionsOfPost.entry(id, position)),
                Grouped.with("positions-of-post", KEY, VALUE))
            .aggregate(
                () -> new byte[0],
                (dpn, entry, entries) -> PositionsOfPost.with(entries, entry),
                (dpn, entry, entries) -> PositionsOfPost.without(entries, entry),
                Named.as("collect-positions"),
                named("positions-of-post", KEY));

        KTable<Bytes, byte[]> postsWithPositions = posts
            .filter((dpn, post) -> Layout.postLives(post))
            .join(positionsOfPost, PositionJoin::concat);

        builder.addStateStore(Stores.keyValueStoreBuilder(
            store.equals("inmem") ? Stores.inMemoryKeyValueStore(Rows.STORE) : Stores.persistentKeyValueStore(Rows.STORE), ID, VALUE));
        placements
            .filter((id, placement) -> Layout.placementLives(placement))
            .leftJoin(
                postsWithPositions,
                placement -> Bytes.wrap(Layout.dpn(placement)),
                (placement, post) -> post == null ? null : concat(placement, post),
                TableJoined.as("post-of-placement"))
            .toStream()
            .process(Rows::new, Named.as("rows"), Rows.STORE)
            .to(prefix + "app-records", Produced.with(KEY, VALUE));
        return new Built(builder);
    }

    private static <K> Materialized<K, byte[], KeyValueStore<Bytes, byte[]>> named(String store, Serde<K> key) {
        return Materialized.<K, byte[], KeyValueStore<Bytes, byte[]>>as(store)
            .withKeySerde(key).withValueSerde(VALUE).withCachingDisabled();
    }

    private static byte[] concat(byte[] first, byte[] second) {
        byte[] both = java.util.Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }
}
