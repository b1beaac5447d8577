package tributary.peer;

import jakarta.xml.bind.JAXBException;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import javax.xml.namespace.QName;
import org.apache.camel.Exchange;
import org.apache.camel.component.cxf.common.message.CxfConstants;
import org.apache.cxf.binding.soap.SoapFault;
import org.apache.cxf.binding.soap.SoapHeader;
import org.apache.cxf.headers.Header;
import org.apache.cxf.interceptor.Fault;
import org.apache.cxf.jaxb.JAXBDataBinding;
import org.apache.cxf.message.MessageContentsList;
import tributary.peer.engagements.Engagement;
import tributary.peer.index.FindContent;
import tributary.peer.index.FindContentResponse;
import tributary.peer.schedule.SchedulePort;
import tributary.peer.schedule.ScheduleRequest;
import tributary.peer.schedule.ScheduleResponse;
import tributary.peer.slots.Slot;
import tributary.peer.status.ProcessingStatus;

/** The steps of the route. */
final class Steps {
    private static final String SENDER = "x-vp-sender-id";
    private static final String ORIGINAL = "x-rivta-original-serviceconsumer-hsaid";
    private static final String CORRELATION = "x-skltp-correlation-id";
    private static final List<String> MANDATORY = List.of(SENDER, ORIGINAL, CORRELATION);
    private static final String OWN_ADDRESS = "5565594230";
    private static final String INDEX_ADDRESS = "SE-BENCH-EI";
    private static final DateTimeFormatter STAMP = DateTimeFormatter.ofPattern("yyyyMMddHHmmss");
    private static final ZoneId STOCKHOLM = ZoneId.of("Europe/Stockholm");
    private static final QName STATUS = new QName("urn:riv:interoperability:headers:1", "ProcessingStatus");

    private final Catalogue catalogue;
    private final JAXBDataBinding statusBinding;

    Steps(Catalogue catalogue) throws JAXBException {
        this.catalogue = catalogue;
        this.statusBinding = new JAXBDataBinding(ProcessingStatus.class);
    }

    /** What a question keeps on its way. */
    private record Question(String sender, String original, List<String> expected) {}

    /** What has come of the calls so far. */
    private static final class Collected {
        private final List<Slot> slots = new ArrayList<>();
        private final ProcessingStatus status = new ProcessingStatus();
    }

    void checkHeaders(Exchange exchange) {
        String missing = MANDATORY.stream().filter(name -> exchange.getMessage().getHeader(name) == null)
                .map(name -> "Mandatory HTTP header " + name + " is missing").collect(Collectors.joining("\n"));
        if (!missing.isEmpty()) {
            throw new SoapFault(missing, new QName("http://schemas.xmlsoap.org/soap/envelope/", "Server"));
        }
    }

    void remember(Exchange exchange) {
        exchange.setProperty("question", new Question(exchange.getMessage().getHeader(SENDER, String.class),
                exchange.getMessage().getHeader(ORIGINAL, String.class), new ArrayList<>()));
    }

    void createFindContent(Exchange exchange) {
        ScheduleRequest request = (ScheduleRequest) exchange.getMessage().getBody(MessageContentsList.class).get(1);
        FindContent question = new FindContent();
        question.patient = request.patient;
        question.serviceDomain = "riv:crm:scheduling";
        exchange.getMessage().setHeader(SENDER, "peer");
        exchange.getMessage().setHeader("x-vp-instance-id", "peer");
        call(exchange, "FindContent", INDEX_ADDRESS, question);
    }

    void createRequests(Exchange exchange) {
        Question question = exchange.getProperty("question", Question.class);
        Object answer = exchange.getMessage().getBody(MessageContentsList.class).get(0);
        FindContentResponse found = (FindContentResponse) answer;
        Set<String> called = new LinkedHashSet<>();
        List<MessageContentsList> requests = new ArrayList<>();
        for (Engagement engagement : found.engagements) {
            String address = engagement.logicalAddress;
            if (OWN_ADDRESS.equals(address) || !catalogue.allows(SchedulePort.CONTRACT, address, question.sender(),
                    question.original()) || !called.add(address)) {
                continue;
            }
            ScheduleRequest request = new ScheduleRequest();
            request.facility = address;
            request.patient = engagement.patient;
            requests.add(new MessageContentsList(address, request));
        }
        question.expected().addAll(called);
        exchange.getMessage().setHeader(SENDER, question.sender());
        exchange.getMessage().setBody(requests);
    }

    void prepareCall(Exchange exchange) {
        MessageContentsList request = exchange.getMessage().getBody(MessageContentsList.class);
        exchange.setProperty("address", request.get(0));
        call(exchange, "GetSubjectOfCareSchedule", request.get(0), request.get(1));
    }

    private static void call(Exchange exchange, String operation, Object address, Object request) {
        exchange.getMessage().removeHeader(Header.HEADER_LIST);
        exchange.getMessage().removeHeader("SOAPAction");
        exchange.getMessage().removeHeader("breadcrumbId");
        exchange.getMessage().setHeader(CxfConstants.OPERATION_NAME, operation);
        exchange.getMessage().removeHeader(CxfConstants.OPERATION_NAMESPACE);
        exchange.getMessage().setBody(new MessageContentsList(address, request));
    }

    /** One answer after the other: Camel calls this for one at a time. */
    Exchange collect(Exchange before, Exchange answer) {
        Exchange kept = before == null ? answer : before;
        if (before == null) {
            kept.setProperty("collected", new Collected());
        }
        Collected collected = kept.getProperty("collected", Collected.class);
        ProcessingStatus.Record record = new ProcessingStatus.Record();
        record.logicalAddress = answer.getProperty("address", String.class);
        Exception failure = answer.getException();
        if (failure == null) {
            Object body = answer.getMessage().getBody(MessageContentsList.class).get(0);
            collected.slots.addAll(((ScheduleResponse) body).slots);
            record.statusCode = "DataFromSource";
            record.isResponseInSynch = true;
            record.lastSuccessfulSynch = now();
        } else {
            String code = failure instanceof Fault fault ? String.valueOf(fault.getStatusCode())
                    : failure instanceof java.net.SocketTimeoutException ? "504" : "43000";
            failed(record, code, String.valueOf(failure.getMessage()));
            answer.setException(null);
        }
        collected.status.records.add(record);
        return kept;
    }

    void createResponse(Exchange exchange) {
        Question question = exchange.getProperty("question", Question.class);
        Collected found = exchange.getProperty("collected", Collected.class);
        Collected collected = found == null ? new Collected() : found;
        Set<String> missing = new LinkedHashSet<>(question.expected());
        collected.status.records.forEach(record -> missing.remove(record.logicalAddress));
        for (String address : missing) {
            ProcessingStatus.Record record = new ProcessingStatus.Record();
            record.logicalAddress = address;
            failed(record, "43000", "Unknown error");
            collected.status.records.add(record);
        }
        ScheduleResponse response = new ScheduleResponse();
        response.slots = collected.slots;
        String correlation = exchange.getMessage().getHeader(CORRELATION, String.class);
        exchange.getMessage().removeHeaders("*");
        exchange.getMessage().setHeader(CORRELATION, correlation);
        exchange.getMessage().setHeader(Header.HEADER_LIST,
                new ArrayList<>(List.of(new SoapHeader(STATUS, collected.status, statusBinding))));
        exchange.getMessage().setBody(new MessageContentsList(response));
    }

    private static void failed(ProcessingStatus.Record record, String code, String text) {
        record.statusCode = "NoDataSynchFailed";
        record.lastUnsuccessfulSynch = now();
        record.error = new ProcessingStatus.Failure();
        record.error.code = code;
        record.error.text = text;
    }

    private static String now() {
        return LocalDateTime.now(STOCKHOLM).format(STAMP);
    }
}
