package tributary.peer;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.camel.CamelContext;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.cxf.common.DataFormat;
import org.apache.camel.component.cxf.jaxws.CxfEndpoint;
import org.apache.camel.impl.DefaultCamelContext;
import org.apache.cxf.Bus;
import org.apache.cxf.BusFactory;
import org.apache.cxf.transport.http.HTTPConduit;
import org.apache.cxf.transport.http.HTTPConduitConfigurer;
import org.apache.cxf.transport.http_undertow.ThreadingParameters;
import org.apache.cxf.transport.http_undertow.UndertowHTTPServerEngineFactory;
import tributary.peer.index.IndexPort;
import tributary.peer.schedule.SchedulePort;

/**
 * An aggregating service on Camel and CXF: check of headers, FindContent, filter, a request for each address, a
 * parallel split with a time-out, and the answer with a record for each address.
 */
public final class Aggregator {
    private Aggregator() {}

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.of(arguments);
        Bus bus = BusFactory.getDefaultBus();
        ThreadingParameters threads = new ThreadingParameters();
        threads.setMaxThreads(settings.threads());
        UndertowHTTPServerEngineFactory servers = bus.getExtension(UndertowHTTPServerEngineFactory.class);
        servers.createUndertowHTTPServerEngine("127.0.0.1", settings.port(), "http").setThreadingParameters(threads);
        bus.setExtension((name, address, conduit) -> configure(conduit, settings), HTTPConduitConfigurer.class);

        CamelContext context = new DefaultCamelContext();
        String path = "/GetAggregatedSubjectOfCareSchedule/service/v1";
        String own = "http://127.0.0.1:" + settings.port() + path;
        CxfEndpoint inbound = endpoint(context, SchedulePort.class, own);
        CxfEndpoint index = endpoint(context, IndexPort.class, settings.index());
        CxfEndpoint producer = endpoint(context, SchedulePort.class, settings.producers());
        ExecutorService calls = Executors.newFixedThreadPool(settings.threads());
        Steps steps = new Steps(new Catalogue(settings.catalogue()));
        context.addRoutes(new RouteBuilder() {
            @Override
            public void configure() {
                errorHandler(noErrorHandler());
                from(inbound).process(steps::checkHeaders).process(steps::remember).process(steps::createFindContent)
                        .to(index).process(steps::createRequests)
                        .split(body(), steps::collect).parallelProcessing().executorService(calls)
                        .timeout(settings.timeout()).process(steps::prepareCall).to(producer).end()
                        .process(steps::createResponse);
            }
        });
        context.start();
        System.out.println("READY url=" + own);
        Thread.currentThread().join();
    }

    private static CxfEndpoint endpoint(CamelContext context, Class<?> contract, String address) {
        CxfEndpoint endpoint = new CxfEndpoint();
        endpoint.setCamelContext(context);
        endpoint.setServiceClass(contract);
        endpoint.setAddress(address);
        endpoint.setDataFormat(DataFormat.POJO);
        endpoint.setSynchronous(Boolean.getBoolean("peer.synchronous"));
        return endpoint;
    }

    private static void configure(HTTPConduit conduit, Settings settings) {
        conduit.getClient().setConnectionTimeout(2000);
        conduit.getClient().setReceiveTimeout(settings.timeout() - 1000);
        conduit.getClient().setAllowChunking(false);
    }
}
