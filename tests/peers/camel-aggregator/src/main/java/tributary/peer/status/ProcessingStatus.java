package tributary.peer.status;

import jakarta.xml.bind.annotation.XmlElement;
import jakarta.xml.bind.annotation.XmlRootElement;
import jakarta.xml.bind.annotation.XmlType;
import java.util.ArrayList;
import java.util.List;

/** What became of each called address. */
@XmlRootElement(name = "ProcessingStatus")
@XmlType(name = "ProcessingStatusType", propOrder = {"records"})
public class ProcessingStatus {
    @XmlElement(name = "ProcessingStatusList")
    public List<Record> records = new ArrayList<>();

    /** One of them. */
    @XmlType(name = "ProcessingStatusRecordType", propOrder = {"logicalAddress", "statusCode", "isResponseFromCache",
        "isResponseInSynch", "lastSuccessfulSynch", "lastUnsuccessfulSynch", "error"})
    public static class Record {
        public String logicalAddress;
        public String statusCode;
        public boolean isResponseFromCache;
        public boolean isResponseInSynch;
        public String lastSuccessfulSynch;
        public String lastUnsuccessfulSynch;

        @XmlElement(name = "lastUnsuccessfulSynchError")
        public Failure error;
    }

    /** Why a call has failed. */
    @XmlType(name = "LastUnsuccessfulSynchErrorType", propOrder = {"causingAgent", "code", "text"})
    public static class Failure {
        public String causingAgent = "virtualization_platform";
        public String code;
        public String text;
    }
}
